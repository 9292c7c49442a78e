"""Decide what a plan moves: amounts that are worth their fees, each with its gas and its nonce; and what it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect.chain_state import ChainAccount
from crypto_checkout.core.collect.contracts import delegation
from crypto_checkout.core.collect.plan import AUTHORIZATION_GAS, Fees, Funding, Item, LeftBehind, Way

TOO_LITTLE = "worth less than twice the fee of moving it"
WOULD_FAIL = "its transfer would fail: the token may have frozen this address, or the destination"
FOREIGN_CODE = "this address delegates to a contract of somebody else's, which is never replaced"

_WORTH = 2
_NO_CODE = "0x"
_PLAIN_TRANSFER_GAS = 21_000
_BATCHED_COIN_GAS = 26_000


@dataclass(frozen=True, slots=True)
class FoundAmount:
    """An amount that is deep enough to be moved, of all that the address holds.

    `gas` is the estimate for its transfer to the destination, None if that would fail.
    """

    index: int
    address: Address
    asset: Asset
    units: int
    held: int
    gas: int | None = None

    def left(self, reason: str) -> LeftBehind:
        """Return it as left behind."""
        return LeftBehind(self.index, self.address, self.asset, self.units, reason)


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """The facts that decide.

    Attributes:
        fees: the most that is paid; `likely_fee` is what a unit of gas probably costs, in wei.
        funding_gas: of a transaction that brings coin to an address.
        prices: of a whole asset in the chain's coin; an asset without one counts as worth moving.
    """

    way: Way
    delegate: Address
    accounts: Mapping[Address, ChainAccount]
    fees: Fees
    likely_fee: int
    funding_gas: int
    prices: Mapping[Asset, Decimal | None]

    def is_worth(self, found: FoundAmount, units: int, gas: int) -> bool:
        """Return True if units of an asset are worth twice the probable fee of this much gas."""
        price = self.prices[found.asset]
        if price is None:
            return True
        wei = Decimal(units) * price * Decimal(10) ** (18 - found.asset.decimals)
        return wei >= _WORTH * (gas * self.likely_fee + self.fees.data)


@dataclass(slots=True)
class PlanDraft:
    """The lists of a plan."""

    items: list[Item] = field(default_factory=list)
    funding: list[Funding] = field(default_factory=list)
    left: list[LeftBehind] = field(default_factory=list)


def draft(found: Sequence[FoundAmount], terms: PlanTerms) -> PlanDraft:
    """Decide about amounts, which are in the order of their indexes."""
    made = PlanDraft()
    for _, group in groupby(found, key=lambda each: each.index):
        amounts = [*group]
        made.left += [each.left(WOULD_FAIL) for each in amounts if each.gas is None]
        movable = [each for each in amounts if each.gas is not None]
        if movable:
            _batched(movable, terms, made) if terms.way is Way.EIP_7702 else _transferred(movable, terms, made)
    return made


def _batched(amounts: Sequence[FoundAmount], terms: PlanTerms, made: PlanDraft) -> None:
    """Have a batch empty the address, once it delegates."""
    account = terms.accounts[amounts[0].address]
    if account.code not in (_NO_CODE, delegation(terms.delegate)):
        made.left += [each.left(FOREIGN_CODE) for each in amounts]
        return
    is_new = account.code == _NO_CODE
    consent_gas = AUTHORIZATION_GAS if is_new else 0
    for each in amounts:
        gas = _with_margin(each, least=_BATCHED_COIN_GAS)
        if terms.is_worth(each, each.units, gas + consent_gas):
            nonce = account.nonce if is_new else None
            made.items.append(Item(each.index, each.address, each.asset, each.units, nonce, gas))
            consent_gas = 0
        else:
            made.left.append(each.left(TOO_LITTLE))


def _transferred(amounts: Sequence[FoundAmount], terms: PlanTerms, made: PlanDraft) -> None:
    """Have the address send its tokens, then its coin, which pays for all; without enough coin it is funded."""
    tokens = [each for each in amounts if not each.asset.is_native]
    coin = next((each for each in amounts if each.asset.is_native), None)
    worthy = [each for each in tokens if terms.is_worth(each, each.units, _with_margin(each))]
    sent = 0 if coin is None else min(coin.units, coin.held - sum(_cost(each, terms) for each in (*worthy, coin)))
    if coin is not None and (sent < 1 or not terms.is_worth(coin, sent, _with_margin(coin))):
        made.left.append(coin.left(TOO_LITTLE))
        coin = None
    if coin is None:
        worthy = [e for e in worthy if terms.is_worth(e, e.units, _with_margin(e) + terms.funding_gas)]
        if worthy:
            units = sum(_cost(each, terms) for each in worthy)
            made.funding.append(Funding(worthy[0].index, worthy[0].address, units, terms.funding_gas))
    made.left += [each.left(TOO_LITTLE) for each in tokens if each not in worthy]
    nonce = terms.accounts[amounts[0].address].nonce
    for each in (*worthy, coin):
        if each is not None:
            units = sent if each is coin else each.units
            made.items.append(Item(each.index, each.address, each.asset, units, nonce, _with_margin(each)))
            nonce += 1


def _cost(found: FoundAmount, terms: PlanTerms) -> int:
    return _with_margin(found) * terms.fees.per_gas + terms.fees.data


def _with_margin(found: FoundAmount, least: int = 0) -> int:
    """Return the gas limit of a transfer: a quarter above the estimate, unless that can't be exceeded."""
    estimate = found.gas or 0
    return max(least, estimate if estimate == _PLAIN_TRANSFER_GAS else estimate + estimate // 4)

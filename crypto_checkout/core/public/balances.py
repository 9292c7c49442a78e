"""The public shape of balances, and how they are rendered, for the API, the command line and the dashboard."""

from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from crypto_checkout.core import moments
from crypto_checkout.core.address import checksum
from crypto_checkout.core.collect.holdings import Holding, HoldingTotal, Market, NotWorthMoving
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public import render
from crypto_checkout.core.public.formats import Address, Hash, Moment
from crypto_checkout.core.public.names import ReasonToLeave
from crypto_checkout.core.public.types import AmountResource, FiatResource


class CheckedBalanceResource(TypedDict):
    """The balance that the chain itself showed at an address."""

    amount: AmountResource
    """The balance."""
    blockNumber: int
    """The block after which it was read; older than that of the totals if the chain doesn't answer at the moment."""


class BalanceResource(TypedDict):
    """The amount of one asset at one address."""

    object: Literal["balance"]
    """The type of this object."""
    livemode: bool
    """Whether it is real money; false on the sandbox chain of test mode."""
    chainId: int
    """The chain (EIP-155)."""
    address: Address
    """The address (EIP-55)."""
    addressIndex: int
    """The number of the address in your wallet, from 0."""
    addressPath: str | None
    """The derivation path of the address (BIP-44), as far as the wallet's extended public key tells. Null if the
    address is derived from no key, or its path isn't known."""
    salt: Hash | None
    """The salt of a deposit address that needs no key; null for other addresses."""
    sessionId: str | None
    """The checkout session that has the address; null for an address without one, as after a restore."""
    amount: AmountResource
    """The amount that is there by this server's records: all that came, for the session or not, less all that left."""
    collected: AmountResource
    """The amount that has left, fees that the address paid included."""
    fiat: FiatResource | None
    """The worth of the amount now; null without a price."""
    worthMoving: bool | None
    """Whether it is worth twice the fee of moving it, or more; null if nothing is there, or it can't be told."""
    reason: ReasonToLeave | None
    """The reason if it isn't worth moving, or if that can't be told."""
    onChain: CheckedBalanceResource | None
    """The balance that the chain itself showed last; null if it hasn't answered yet, and in test mode."""


class LeftBehindResource(TypedDict):
    """The part of a total that is not worth moving."""

    amount: AmountResource
    """Its amount."""
    addresses: int
    """The number of its addresses."""


class BlockResource(TypedDict):
    """A block of a chain."""

    number: int
    """Its number."""
    hash: Hash
    """Its hash."""
    time: Moment
    """Its time."""


class BalanceTotalResource(TypedDict):
    """The sum of all balances of one asset on one chain."""

    object: Literal["balance_total"]
    """The type of this object."""
    livemode: bool
    """Whether it is real money; false on the sandbox chain of test mode."""
    chainId: int
    """The chain (EIP-155)."""
    amount: AmountResource
    """The amount at all addresses."""
    addresses: int
    """The number of addresses that hold something."""
    fiat: FiatResource | None
    """The worth of the amount now, in the currency of your newest session; null without a price."""
    notWorthMoving: LeftBehindResource
    """The part of it that isn't worth moving, or of which that can't be told."""
    collected: AmountResource
    """The amount that has left the addresses, fees that they paid included."""
    block: BlockResource | None
    """The last processed block of the chain, up to which the records go."""


class BalanceListResource(TypedDict):
    """A page of balances, newest address first, and the sums of all that match."""

    object: Literal["list"]
    """The type of this object."""
    data: list[BalanceResource]
    """The balances of this page."""
    hasMore: bool
    """Whether there are more balances in the requested direction."""
    nextCursor: str | None
    """The cursor for the next page: pass it as `starting_after`, or as `ending_before` to poll for new ones."""
    totals: list[BalanceTotalResource]
    """The sums of all balances that match, on this page or not: one for each asset of each chain."""


def balance(
    holding: Holding, market: Market, *, livemode: bool, on_chain: CheckedBalanceResource | None
) -> BalanceResource:
    """Render a holding."""
    reason = market.reason_to_leave(holding) if holding.units else None
    is_known = holding.units > 0 and reason in {None, NotWorthMoving.FEE_TOO_HIGH}
    return {
        "object": "balance",
        "livemode": livemode,
        "chainId": holding.asset.chain_id,
        "address": checksum(holding.address),
        "addressIndex": holding.number,
        "addressPath": holding.path,
        "salt": None if holding.salt is None else f"0x{holding.salt.hex()}",
        "sessionId": holding.session_id,
        "amount": render.amount(holding.asset, holding.units),
        "collected": render.amount(holding.asset, holding.left),
        "fiat": _fiat(market.worth(holding.asset, holding.units)),
        "worthMoving": reason is None if is_known else None,
        "reason": None if reason is None else reason.value,
        "onChain": on_chain,
    }


def checked(holding: Holding, units: int, block_number: int) -> CheckedBalanceResource:
    """Render what the chain showed of a holding after a block."""
    return {"amount": render.amount(holding.asset, units), "blockNumber": block_number}


def total(total: HoldingTotal, market: Market, blocks: Mapping[int, Header], *, livemode: bool) -> BalanceTotalResource:
    """Render the sums of an asset."""
    asset, block = total.asset, blocks.get(total.asset.chain_id)
    return {
        "object": "balance_total",
        "livemode": livemode,
        "chainId": asset.chain_id,
        "amount": render.amount(asset, total.units),
        "addresses": total.addresses,
        "fiat": _fiat(market.worth(asset, total.units)),
        "notWorthMoving": {
            "amount": render.amount(asset, total.unworthy_units),
            "addresses": total.unworthy_addresses,
        },
        "collected": render.amount(asset, total.left),
        "block": None
        if block is None
        else {"number": block.number, "hash": block.hash, "time": moments.to_text(block.time)},
    }


def _fiat(worth: Fiat | None) -> FiatResource | None:
    return None if worth is None else {"amount": str(worth), "currency": worth.currency}

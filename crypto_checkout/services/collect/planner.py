"""Plan to collect from the addresses of a wallet (xpub): the amounts that are deep enough and worth their fees.

Balances come from the chain, of every address ever given out: what the ledger never saw is found too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import plan as plans
from crypto_checkout.core.collect.chain_state import CallMessage, ChainAccount, CurrentFees
from crypto_checkout.core.collect.contracts import COLLECTOR, Contract, delegate
from crypto_checkout.core.collect.draft import FoundAmount, PlanDraft, PlanTerms, draft
from crypto_checkout.core.collect.plan import BlockRef, Fees, Fuel, LeftBehind, Plan, Way
from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.core.ledger.follow import Head, Header
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, Prices, rate_of

_PAGE = 3_072
_CONSENT_BYTES = 110  # of an authorization in a transaction, at most
_TRANSFER_BYTES = 250  # of a signed transfer, at most
_FUNDING_GAS = 21_000
_USD = "USD"


class ChainToPlan(Protocol):
    """A chain's blocks and balances; see `chain.evm.chain.EvmChain`."""

    async def head(self) -> Head:
        """Return the newest block number."""

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances after a block."""

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances of a token after a block."""


class ChainSurvey(Protocol):
    """A chain's accounts, fees and gas; see `chain.evm.collect.survey.Survey`."""

    async def accounts(self, addresses: Sequence[Address]) -> dict[Address, ChainAccount]:
        """Return accounts."""

    async def fees(self) -> CurrentFees:
        """Return the current fees."""

    async def data_fee(self, transaction_bytes: int) -> int:
        """Return the most that the data of a transaction costs apart from gas."""

    async def gas(self, messages: Sequence[CallMessage]) -> list[int | None]:
        """Estimate the gas of calls; None for one that would fail."""

    async def has(self, contract: Contract) -> bool:
        """Return True if a contract is deployed."""

    async def deployment_gas(self, contract: Contract) -> int | None:
        """Estimate the gas to deploy a contract; None if it can't be."""

    async def can_delegate(self, destination: Address, throwaway_key: bytes, *, is_there: bool) -> bool:
        """Return True if the chain has EIP-7702."""


@dataclass(frozen=True, slots=True)
class WalletAddresses:
    """A wallet to be emptied: its id, the path of its addresses, those given out by index, and who pays for gas."""

    wallet_id: str
    path: str
    addresses: Sequence[tuple[int, Address]]
    fuel: Address


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """The plan wanted: to which destination, of one asset (its symbol) or of all, in one way or the best."""

    destination: Address
    asset: str | None = None
    way: Way | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, None if nothing is to be moved, with its probable fee and the coin that the fuel account holds, in wei.

    `without_batches` is the reason if it moves one amount per transaction although batches were welcome.
    """

    plan: Plan | None
    left_behind: tuple[LeftBehind, ...]
    without_batches: str | None
    likely_fee: int
    fuel_held: int


class CannotCollect(Exception):
    """There can be no plan; the message says why and what to do."""


class Planner:
    """Plans for one chain and one wallet. `progress` is called with the number of addresses read, and their total."""

    def __init__(
        self,
        chain: ChainToPlan,
        survey: ChainSurvey,
        accepted: AcceptedChain,
        wallet: WalletAddresses,
        prices: Prices,
        throwaway_key: bytes,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self._chain = chain
        self._survey = survey
        self._accepted = accepted
        self._wallet = wallet
        self._prices = prices
        self._throwaway_key = throwaway_key
        self._progress = progress

    async def plan(self, request: PlanRequest) -> Planned:
        """Make a plan. Raises CannotCollect, UnsupportedAsset, and ProviderFailed where the chain can't be read."""
        if request.destination in {address for _, address in self._wallet.addresses} | {self._wallet.fuel}:
            raise CannotCollect("the destination is an address of the wallet that is to be emptied: name another one")
        deep, newest = await self._blocks()
        found = await self._found(request, deep, newest)
        way = await self._way(request)
        current = await self._survey.fees()
        terms = await self._terms(request, way.way, found, current)
        made = draft(await self._with_gas(request, found), terms)
        if not made.items:
            return Planned(None, tuple(made.left), way.without_batches, 0, 0)
        plan = await self._assembled(request, way, terms, made, deep)
        (held,) = (await self._chain.balances(newest, [self._wallet.fuel])).values()
        likely = plans.likely_gas(plan) * terms.likely_fee
        return Planned(plan, plan.left_behind, way.without_batches, likely, held)

    # --- amounts -------------------------------------------------------------------------------------------------

    async def _blocks(self) -> tuple[Header, Header]:
        """Return the newest block in which a payment counts as final, and the newest of all."""
        head = await self._chain.head()
        depth = head.number - self._accepted.confirmations + 1
        number = depth if head.final_number is None else min(head.final_number, head.number)
        if number < 0:
            raise CannotCollect(f"{self._accepted.name} has no final block yet")
        deep, newest = await self._chain.headers([number, head.number])
        return deep, newest

    async def _found(self, request: PlanRequest, deep: Header, newest: Header) -> list[FoundAmount]:
        """Return the amounts that are there both at the deep block and at the newest, by index; the coin last."""
        coin, *tokens = self._accepted.assets
        assets = [self._accepted.asset(request.asset)] if request.asset else [*tokens, coin]
        addresses = self._wallet.addresses
        found: list[FoundAmount] = []
        for start in range(0, len(addresses), _PAGE):
            self._progress(start, len(addresses))
            for asset in assets:
                found += await self._amounts(asset, addresses[start : start + _PAGE], deep, newest)
        self._progress(len(addresses), len(addresses))
        return sorted(found, key=lambda each: (each.index, each.asset.is_native))

    async def _amounts(
        self, asset: Asset, page: Sequence[tuple[int, Address]], deep: Header, newest: Header
    ) -> list[FoundAmount]:
        held = await self._held(newest, asset, [address for _, address in page])
        some = [(index, address) for index, address in page if held[address]]
        before = await self._held(deep, asset, [address for _, address in some])
        return [
            FoundAmount(index, address, asset, units, held[address])
            for index, address in some
            if (units := min(held[address], before[address]))
        ]

    async def _held(self, block: Header, asset: Asset, addresses: Sequence[Address]) -> dict[Address, int]:
        if not addresses:
            return {}
        if asset.contract is None:
            return await self._chain.balances(block, addresses)
        return await self._chain.token_balances(block, asset.contract, addresses)

    async def _with_gas(self, request: PlanRequest, found: Sequence[FoundAmount]) -> list[FoundAmount]:
        to = request.destination
        messages = [
            CallMessage(each.address, to, each.units)
            if each.asset.contract is None
            else CallMessage(each.address, each.asset.contract, data=plans.transfer_call(to, each.units))
            for each in found
        ]
        estimates = await self._survey.gas(messages)
        return [replace(each, gas=gas) for each, gas in zip(found, estimates, strict=True)]

    # --- terms ---------------------------------------------------------------------------------------------------

    async def _way(self, request: PlanRequest) -> "_ChosenWay":
        if request.way is Way.TRANSFERS:
            return _ChosenWay(Way.TRANSFERS)
        contract = delegate(request.destination)
        is_there = await self._survey.has(contract)
        if not await self._survey.has(COLLECTOR):
            why_not = "the Collector is not deployed there; `crypto-checkout collect setup` tells how"
        elif not await self._survey.can_delegate(request.destination, self._throwaway_key, is_there=is_there):
            why_not = "accounts can't delegate there (EIP-7702)"
        elif is_there:
            return _ChosenWay(Way.EIP_7702)
        elif gas := await self._survey.deployment_gas(contract):
            return _ChosenWay(Way.EIP_7702, deploy_gas=gas + gas // 4)
        else:
            why_not = "the deployment proxy is missing there"
        if request.way is Way.EIP_7702:
            raise CannotCollect(f"{self._accepted.name} can't be collected in batches: {why_not}")
        return _ChosenWay(Way.TRANSFERS, without_batches=why_not)

    async def _terms(
        self, request: PlanRequest, way: Way, found: Sequence[FoundAmount], current: CurrentFees
    ) -> PlanTerms:
        addresses = list(dict.fromkeys([self._wallet.fuel, *(each.address for each in found)]))
        data = await self._survey.data_fee(_TRANSFER_BYTES) if way is Way.TRANSFERS else 0
        (funding_gas,) = await self._survey.gas([CallMessage(self._wallet.fuel, self._wallet.fuel)])
        return PlanTerms(
            way=way,
            delegate=delegate(request.destination).address,
            accounts=await self._survey.accounts(addresses),
            fees=Fees(2 * current.base + current.tip, current.tip, data),
            likely_fee=current.base + current.tip,
            funding_gas=funding_gas or _FUNDING_GAS,
            prices={asset: await self._in_coin(asset) for asset in {each.asset for each in found}},
        )

    async def _in_coin(self, asset: Asset) -> Decimal | None:
        """Return the price of a whole asset in the chain's coin; None if there is none."""
        if asset.is_native:
            return Decimal(1)
        try:
            price = (await rate_of(self._prices, asset, _USD)).value
            return price / (await rate_of(self._prices, self._accepted.assets[0], _USD)).value
        except CheckoutError:
            return None

    # --- the plan ------------------------------------------------------------------------------------------------

    async def _assembled(
        self, request: PlanRequest, way: "_ChosenWay", terms: PlanTerms, made: PlanDraft, deep: Header
    ) -> Plan:
        wallet = self._wallet
        plan = Plan(
            chain_id=self._accepted.id,
            wallet_id=wallet.wallet_id,
            path=wallet.path,
            destination=request.destination,
            way=way.way,
            block=BlockRef(deep.number, deep.hash),
            items=tuple(made.items),
            funding=tuple(made.funding),
            fuel=Fuel(wallet.fuel, terms.accounts[wallet.fuel].nonce, 0),
            fees=terms.fees,
            deploy_gas=way.deploy_gas,
            left_behind=tuple(made.left),
        )
        if way.way is Way.EIP_7702:
            sizes = [
                len(each.data) + _CONSENT_BYTES * (2 + len(each.authorizations)) for each in plans.transactions(plan)
            ]
            plan = replace(plan, fees=replace(plan.fees, data=await self._survey.data_fee(max(sizes))))
        plan = replace(plan, fuel=replace(plan.fuel, units=plans.fuel_needed(plan)))
        plans.check(plan)
        return plan


@dataclass(frozen=True, slots=True)
class _ChosenWay:
    """The way of a plan; the gas to deploy its delegate if that is to be; and the reason if it has no batches."""

    way: Way
    deploy_gas: int | None = None
    without_batches: str | None = None

"""Balances of each address: by the ledger, compared with the chain as far as it answers in time, and their worth.

The figures are the ledger's. For the addresses that are shown, the chains are asked as well, in one call for each asset
(`chain.evm.balances`), at most every half a minute; what a chain doesn't answer keeps its last figure, with its block.
"""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Protocol, TypeVar

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import holdings as core
from crypto_checkout.core.collect.batches import CollectBatch, batches
from crypto_checkout.core.collect.holdings import Holding, Market
from crypto_checkout.core.errors import CheckoutError, RecoverableError
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.public import balances as public
from crypto_checkout.core.public.balances import BalanceResource, BalanceTotalResource, CheckedBalanceResource
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import ChainsByMode, PricedChains, rate_of
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.collect import holdings as store
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.paging import ListPage, Window

log = get_logger("balances")

T = TypeVar("T")

_PATIENCE_SECONDS = 5.0
_REUSE_SECONDS = 30.0
_MOST_REMEMBERED = 20_000


class BalanceSource(Protocol):
    """Reads balances and the price of gas; `chain.evm.chain` and `chain.sandbox.view` implement it."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the native balances of addresses after a block. Raises RecoverableError."""

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances of a token after a block. Raises RecoverableError."""

    async def gas_price(self) -> int:
        """Return what a unit of gas costs now, in wei. Raises RecoverableError."""


@dataclass(frozen=True, slots=True)
class BalanceFilter:
    """A filter of balances; None matches any. `is_held` selects addresses that hold something now, or nothing more."""

    chain_id: int | None = None
    symbol: str | None = None
    is_held: bool | None = None

    def matches(self, holding: Holding) -> bool:
        """Tell whether a holding passes."""
        return (
            self.chain_id in {None, holding.asset.chain_id}
            and self.symbol in {None, holding.asset.symbol}
            and self.is_held in {None, holding.units > 0}
        )


@dataclass(frozen=True, slots=True)
class CheckedBalance:
    """The balance that a chain showed after a block, and the time of asking, by a monotonic clock in seconds."""

    units: int
    block_number: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class Balances:
    """A page of balances, and the sums of all that match; `holdings` and `market` are those of the whole mode."""

    page: ListPage[BalanceResource]
    totals: Sequence[BalanceTotalResource]
    holdings: Sequence[Holding]
    market: Market

    def to_collect(self) -> Sequence[CollectBatch]:
        """Return the transactions that collect what lies at deposits of a cold address, whether it matched or not."""
        return batches(self.holdings, self.market)


@dataclass(frozen=True, slots=True)
class _Ledger:
    """The ledger's side: holdings, the last processed block of each chain, and the shop's currency."""

    holdings: Sequence[Holding]
    blocks: Mapping[int, Header]
    currency: str


class BalanceReports:
    """The balances of both modes; `readers` are the chains by id, `monotonic` is a clock in seconds.

    `forgetful` chains, such as the sandbox, don't know the balances of old addresses, and aren't asked for any.
    """

    def __init__(
        self,
        db: Database,
        priced: ChainsByMode[PricedChains],
        readers: Mapping[int, BalanceSource],
        *,
        forgetful: Collection[int] = (),
        monotonic: Callable[[], float] = time.monotonic,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._db = db
        self._priced = priced
        self._readers = readers
        self._asked = readers.keys() - set(forgetful)
        self._monotonic = monotonic
        self._patience_seconds = patience_seconds
        self._checked: OrderedDict[tuple[Asset, Address], CheckedBalance] = OrderedDict()
        self._gas_prices: dict[int, tuple[int, float]] = {}

    async def of(self, livemode: bool, filters: BalanceFilter, window: Window) -> Balances:
        """Return a page of balances, newest address first, and the totals of all that match.

        Raises WalletNotConfigured where the mode isn't configured.
        """
        priced = self._priced.of(livemode)
        ledger = await self._db.read(partial(_read, priced=priced))
        found = [each for each in ledger.holdings if filters.matches(each)]
        page = _page(found, window)
        market, _ = await asyncio.gather(
            self._market(priced, {each.asset for each in ledger.holdings}, ledger.currency),
            self._check(page.items, ledger.blocks),
        )
        totals = await asyncio.to_thread(core.totals, found, market)  # it takes a while with many addresses
        return Balances(
            page.map(lambda each: public.balance(each, market, livemode=livemode, on_chain=self._on_chain(each))),
            [public.total(each, market, ledger.blocks, livemode=livemode) for each in totals],
            ledger.holdings,
            market,
        )

    def _on_chain(self, holding: Holding) -> CheckedBalanceResource | None:
        last = self._checked.get((holding.asset, holding.address))
        return None if last is None else public.checked(holding, last.units, last.block_number)

    async def _market(self, priced: PricedChains, assets: Iterable[Asset], currency: str) -> Market:
        chain_ids = {each.chain_id for each in assets}
        coins = {chain.id: chain.assets[0] for chain in priced.chains if chain.id in chain_ids}
        wanted = [*{*assets, *coins.values()}]
        prices, gas_prices = await asyncio.gather(
            asyncio.gather(*(self._in_time(self._price(priced, each, currency)) for each in wanted)),
            asyncio.gather(*(self._gas_price(chain_id) for chain_id in coins)),
        )
        return Market(
            currency=currency,
            gas_prices={
                chain_id: price for chain_id, price in zip(coins, gas_prices, strict=True) if price is not None
            },
            coins=coins,
            prices={asset: price for asset, price in zip(wanted, prices, strict=True) if price is not None},
        )

    async def _price(self, priced: PricedChains, asset: Asset, currency: str) -> Decimal:
        return (await rate_of(priced.prices, asset, currency)).value

    async def _gas_price(self, chain_id: int) -> int | None:
        known = self._gas_prices.get(chain_id)
        if known is None or self._monotonic() - known[1] >= _REUSE_SECONDS:
            price = await self._in_time(self._readers[chain_id].gas_price())
            if price is not None:
                known = self._gas_prices[chain_id] = (price, self._monotonic())
        return None if known is None else known[0]

    async def _check(self, holdings: Iterable[Holding], blocks: Mapping[int, Header]) -> None:
        """Ask the chains about these holdings, unless they were asked just now; what they don't answer stays as is."""
        due: dict[Asset, list[Address]] = defaultdict(list)
        for each in holdings:
            known = self._checked.get((each.asset, each.address))
            if known is None or self._monotonic() - known.asked_at >= _REUSE_SECONDS:
                due[each.asset].append(each.address)
        await asyncio.gather(
            *(
                self._in_time(self._check_asset(asset, addresses, blocks[asset.chain_id]))
                for asset, addresses in due.items()
                if asset.chain_id in blocks and asset.chain_id in self._asked
            )
        )

    async def _check_asset(self, asset: Asset, addresses: Sequence[Address], block: Header) -> None:
        reader = self._readers[asset.chain_id]
        if asset.contract is None:
            held = await reader.balances(block, addresses)
        else:
            held = await reader.token_balances(block, asset.contract, addresses)
        for address, units in held.items():
            self._checked[asset, address] = CheckedBalance(units, block.number, self._monotonic())
            self._checked.move_to_end((asset, address))
        while len(self._checked) > _MOST_REMEMBERED:
            self._checked.popitem(last=False)

    async def _in_time(self, asking: Awaitable[T]) -> T | None:
        """Return an answer from outside; None where there is none in time."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await asking
        except (TimeoutError, RecoverableError, CheckoutError) as error:
            log.info("balances are shown without an answer from outside", error=str(error))
            return None


def _read(unit: ReadUnit, priced: PricedChains) -> _Ledger:
    known = {(asset.chain_id, asset.contract): asset for chain in priced.chains for asset in chain.assets}
    found = store.read(unit, priced.livemode, known)
    blocks = {}
    for chain_id in {each.asset.chain_id for each in found}:
        cursor = cursors.cursor(unit, chain_id)
        if cursor is not None:
            blocks[chain_id] = cursor.header
    newest = sessions.listed(unit, priced.livemode, sessions.SessionFilter(), Window(1)).items
    return _Ledger(found, blocks, newest[0].fiat.currency if newest else "USD")


def _page(found: Sequence[Holding], window: Window) -> ListPage[Holding]:
    """Return the part of a list, which is in falling order of keys, that a window asks for."""
    if window.before is not None:
        newer = [each for each in found if each.key > int(window.before)]
        items, has_more = newer[-window.limit :], len(newer) > window.limit
    else:
        older = [each for each in found if window.after is None or each.key < int(window.after)]
        items, has_more = older[: window.limit], len(older) > window.limit
    return ListPage(items, has_more, items[0].key if items else None, items[-1].key if items else None)

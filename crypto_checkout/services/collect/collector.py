"""Collect by itself, where the owner switched that on: deposits, and accounts that delegate to the owner already.

A key pays for gas and can do nothing else (`chain.wallet.fuel_key`). Every transaction is stored before it is sent; one
at a time waits on each chain, and each nonce is used once, whatever happens to the process.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Never, Protocol

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect.batches import MOST_IN_ONE, CollectBatch
from crypto_checkout.core.collect.chain_state import CallMessage, CurrentFees, FuelCall, SentReceipt
from crypto_checkout.core.collect.collection import CollectedItem
from crypto_checkout.core.collect.contracts import COLLECTOR
from crypto_checkout.core.collect.holdings import Holding, Market
from crypto_checkout.core.collect.plan_file import SignedTransaction
from crypto_checkout.core.errors import CheckoutError, RecoverableError
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.money import format_units
from crypto_checkout.log import get_logger
from crypto_checkout.services import loops
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, Prices, rate_of
from crypto_checkout.services.collect.records import SentCollections, Shipment
from crypto_checkout.store.collect import fuel, holdings
from crypto_checkout.store.collect.fuel import FuelTransaction
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit

log = get_logger("collector")

_TURN_SECONDS = 600.0
_WAITING_SECONDS = 15.0
_DAY = timedelta(days=1)
_RAISE_AFTER = timedelta(minutes=10)
_LOOKS_AT_TAKEN_NONCE = 3
_LEAST_GAS = 700_000  # ten deposits' worth
_CURRENCY = "USD"


class CollectingChain(Protocol):
    """A chain on which to collect; `chain.evm.collect.sending.Sending` implements it."""

    async def fees(self) -> CurrentFees:
        """Return the current fees."""

    async def data_fee(self, transaction_bytes: int) -> int:
        """Return the most that the data of a transaction costs apart from gas."""

    async def gas(self, messages: Sequence[CallMessage]) -> list[int | None]:
        """Estimate the gas of calls; None for one that would fail."""

    async def collects(self, sender: Address, data: bytes) -> int:
        """Return how many amounts a call of the Collector would move now."""

    async def nonces(self, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return transaction counts."""

    async def balance(self, address: Address) -> int:
        """Return the coin of an account."""

    async def receipts(self, hashes: Sequence[str]) -> dict[str, SentReceipt]:
        """Return the receipts of the transactions in blocks."""

    async def broadcast(self, signed: SignedTransaction) -> None:
        """Give a transaction to the nodes."""


class Signer(Protocol):
    """The key that pays for gas; see `chain.wallet.fuel_key.FuelKey`."""

    @property
    def address(self) -> Address:
        """Its account."""

    def sign(self, call: FuelCall) -> SignedTransaction:
        """Sign a call of the Collector."""


@dataclass(frozen=True, slots=True)
class CollectorLimits:
    """The limits on one chain; amounts are in US dollars.

    Attributes:
        min_fiat: collect once this much is there.
        every: but no more often than this.
        max_fee_percent: of the amount; while fees are higher, wait.
        max_fiat_per_day: the most that fees may cost in any 24 hours.
    """

    min_fiat: Decimal
    every: timedelta
    max_fee_percent: Decimal
    max_fiat_per_day: Decimal


class Collector:
    """Collects on one chain. `problem` is an issue for the owner: the fuel is low, say; None while all is well."""

    def __init__(
        self,
        db: Database,
        chain: CollectingChain,
        accepted: AcceptedChain,
        prices: Prices,
        key: Signer,
        limits: CollectorLimits,
        records: SentCollections,
        clock: Clock,
    ) -> None:
        self.problem: str | None = None
        self._db = db
        self._chain = chain
        self._accepted = accepted
        self._prices = prices
        self._key = key
        self._limits = limits
        self._records = records
        self._clock = clock
        self._has_more = False
        self._looks_at_taken_nonce = 0

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._accepted.id

    async def run(self) -> Never:
        """Collect now and again, until cancelled."""
        await loops.every(_TURN_SECONDS, self._try_turn, log=log, failure="collecting failed")

    async def _try_turn(self) -> float | None:
        try:
            return await self.turn()
        except (RecoverableError, CheckoutError) as error:
            log.warning("can't collect now", chain=self.chain_id, error=str(error))
            return None

    async def turn(self) -> float | None:
        """Look after the transaction that waits, or else collect if it is time; return the pause in seconds.

        Raises RecoverableError, and PriceUnavailable without a price of the chain's coin.
        """
        waiting = await self._db.read(partial(fuel.waiting, chain_id=self.chain_id))
        if waiting:
            await self._look_after(waiting)
            return _WAITING_SECONDS
        now = self._clock()
        last = await self._db.read(partial(fuel.last_signed_at, chain_id=self.chain_id))
        if last is None or self._has_more or not timedelta(0) <= now - last < self._limits.every:
            # With more to collect than fits a transaction, the next one follows at once.
            self._has_more = False
            if await self._collect(now):
                return _WAITING_SECONDS
        return None

    # --- collecting ----------------------------------------------------------------------------------------------

    async def _collect(self, now: datetime) -> bool:
        """Send a transaction if what is there is worth it; return True if one was sent."""
        fees = await self._chain.fees()
        market = await self._market(fees)
        coin = market.prices[self._accepted.assets[0]]
        await self._check_fuel(fees, coin)
        found = [each for each in await self._db.read(self._held) if market.reason_to_leave(each) is None]
        found.sort(key=lambda each: -_fiat(market, [each]))
        batch = await self._worthwhile(found, market)
        if batch is None:
            return False
        (gas,) = await self._chain.gas([CallMessage(self._key.address, COLLECTOR.address, data=batch.data)])
        if gas is None:
            raise RecoverableError("a call that works can't be estimated")
        data_fee = await self._chain.data_fee(len(batch.data))
        likely = Decimal(gas * (fees.base + fees.tip) + data_fee).scaleb(-18) * coin
        if likely > _fiat(market, batch.items) * self._limits.max_fee_percent / 100:
            log.info("fees are too high to collect", chain=self.chain_id, fee=f"{likely:.2f} {_CURRENCY}")
            return False
        (nonce,) = (await self._chain.nonces([self._key.address])).values()
        limit = gas + gas // 5
        call = FuelCall(self.chain_id, nonce, batch.data, limit, 2 * fees.base + fees.tip, fees.tip)
        items = tuple(CollectedItem(each.session_id, each.address, each.asset, each.units) for each in batch.items)
        if not await self._send(call, Shipment(batch.items[0].destination, items), data_fee, coin, now):
            return False
        self._has_more = len(found) > len(batch.items)
        return True

    async def _send(self, call: FuelCall, shipment: Shipment, data_fee: int, coin: Decimal, now: datetime) -> bool:
        """Sign, store and send a call, unless it could exceed the day's cap or the fuel."""
        most = call.gas * call.max_fee_per_gas + data_fee
        cost = Decimal(most).scaleb(-18) * coin
        spent = await self._db.read(partial(fuel.spent_since, chain_id=self.chain_id, since=now - _DAY))
        if spent + cost > self._limits.max_fiat_per_day:
            log.warning("the day's cap keeps from collecting", chain=self.chain_id, cost=f"{cost:.2f} {_CURRENCY}")
            self.problem = (
                f"Collecting on {self._accepted.name} could cost {cost:.2f} {_CURRENCY}, and {spent:.2f} of the "
                f"{self._limits.max_fiat_per_day} allowed a day may be spent already."
            )
            return False
        if await self._chain.balance(self._key.address) < most:
            self._report_low_fuel(most)
            return False
        signed = self._key.sign(call)
        row = FuelTransaction(self._key.address, call, signed, cost, now)

        def record(unit: WriteUnit) -> None:
            fuel.record(unit, row)
            self._records.sent(unit, signed.hash, shipment)

        await self._db.write(record)
        await self._chain.broadcast(signed)
        log.info("sent a collection", chain=self.chain_id, tx=signed.hash)
        self.problem = None
        return True

    def _held(self, unit: ReadUnit) -> list[Holding]:
        """Return what deposits hold on this chain, and accounts that delegate."""
        known = {(self.chain_id, asset.contract): asset for asset in self._accepted.assets}
        return [
            each
            for each in holdings.read(unit, True, known)
            if each.asset.chain_id == self.chain_id and each.units and each.destination is not None
        ]

    async def _worthwhile(self, found: Sequence[Holding], market: Market) -> CollectBatch | None:
        """Return the first call that is worth it: what can't be moved, however much it is, keeps nothing else back."""
        groups: dict[tuple[Address | None, bool], list[Holding]] = defaultdict(list)
        for each in found:
            groups[_kind(each)].append(each)
        for items in groups.values():
            for start in range(0, len(items), MOST_IN_ONE):
                some = items[start : start + MOST_IN_ONE]
                if _fiat(market, some) < self._limits.min_fiat:
                    break  # those that follow are worth less
                batch = await self._movable(some)
                if batch is not None and _fiat(market, batch.items) >= self._limits.min_fiat:
                    return batch
        return None

    async def _movable(self, found: Sequence[Holding]) -> CollectBatch | None:
        """Return the call that moves what can be moved now, to one destination; None for nothing."""
        batch = _batch(found)
        if batch is None or await self._chain.collects(self._key.address, batch.data) == len(batch.items):
            return batch
        alone = [_batch([each]) for each in batch.items]
        moved = [
            each.items[0] for each in alone if each and await self._chain.collects(self._key.address, each.data) == 1
        ]
        return _batch(moved)

    async def _market(self, fees: CurrentFees) -> Market:
        """Return prices in dollars. Raises PriceUnavailable for the coin; tokens without a price wait."""
        coin, *tokens = self._accepted.assets
        prices = {coin: (await self._prices.rate(coin.symbol, _CURRENCY)).value}
        for token in tokens:
            price = await self._price(token)
            if price is not None:
                prices[token] = price
        return Market(_CURRENCY, {self.chain_id: fees.base + fees.tip}, {self.chain_id: coin}, prices)

    async def _price(self, token: Asset) -> Decimal | None:
        try:
            return (await rate_of(self._prices, token, _CURRENCY)).value
        except CheckoutError:
            return None

    # --- fuel ----------------------------------------------------------------------------------------------------

    async def _check_fuel(self, fees: CurrentFees, coin: Decimal) -> None:
        """Notice low fuel before it is needed: it should pay for some collections at twice today's fees.

        More than the day's cap is never spent, nor asked for, whatever fees a node names.
        """
        cap = int((self._limits.max_fiat_per_day / coin).scaleb(18))
        least = min(_LEAST_GAS * 2 * (fees.base + fees.tip), cap)
        if await self._chain.balance(self._key.address) < least:
            self._report_low_fuel(least)
        else:
            self.problem = None

    def _report_low_fuel(self, wanted: int) -> None:
        coin = self._accepted.assets[0]
        self.problem = (
            f"The account that pays for collecting on {self._accepted.name} is low on {coin.symbol}: send at least "
            f"{format_units(wanted, coin.decimals)} {coin.symbol} to {checksum(self._key.address)}."
        )

    # --- what waits ----------------------------------------------------------------------------------------------

    async def _look_after(self, waiting: Sequence[FuelTransaction]) -> None:
        """See whether a transaction is in a block; else send it again, with higher fees once they have risen."""
        newest = waiting[-1]
        receipts = await self._chain.receipts([each.signed.hash for each in waiting])
        for tx_hash, receipt in receipts.items():
            log.info("collected", chain=self.chain_id, tx=tx_hash, block=receipt.block_number)
            await self._settle(waiting, tx_hash if receipt.has_succeeded else None)
            return
        (nonce,) = (await self._chain.nonces([newest.sender])).values()
        if nonce > newest.call.nonce:
            self._looks_at_taken_nonce += 1
            if self._looks_at_taken_nonce >= _LOOKS_AT_TAKEN_NONCE:
                log.warning("another transaction of the fuel key took its nonce", chain=self.chain_id, nonce=nonce)
                await self._settle(waiting, None)
            return
        fees, now = await self._chain.fees(), self._clock()
        is_old = now - newest.signed_at >= _RAISE_AFTER
        if is_old and nonce < newest.call.nonce:
            # A node erred when it was signed. Should its turn ever come, it moves nothing twice.
            log.warning("a collection waits for a nonce that isn't next", chain=self.chain_id, nonce=nonce)
            await self._settle(waiting, None)
            return
        is_stuck = is_old and newest.call.tip_at(fees.base) < fees.tip
        if not is_stuck or newest.sender != self._key.address or not await self._raise(newest, fees, now):
            await self._chain.broadcast(newest.signed)

    async def _raise(self, waiting: FuelTransaction, fees: CurrentFees, now: datetime) -> bool:
        """Send a call again with higher fees; return False if the cap or the fuel doesn't allow it."""
        call = waiting.call
        raised = replace(
            call,
            max_fee_per_gas=max(2 * fees.base + fees.tip, _raised(call.max_fee_per_gas)),
            max_priority_fee_per_gas=max(fees.tip, _raised(call.max_priority_fee_per_gas)),
        )
        coin = (await self._prices.rate(self._accepted.assets[0].symbol, _CURRENCY)).value
        shipment = await self._db.read(partial(self._records.shipment, tx_hash=waiting.signed.hash))
        return await self._send(raised, shipment, await self._chain.data_fee(len(call.data)), coin, now)

    async def _settle(self, waiting: Sequence[FuelTransaction], succeeded: str | None) -> None:
        """End the waiting: one of the transactions has succeeded, or none has."""
        self._looks_at_taken_nonce = 0

        def settle(unit: WriteUnit) -> None:
            fuel.settle(unit, self.chain_id, succeeded)
            for each in waiting:
                if each.signed.hash != succeeded:
                    self._records.failed(unit, each.signed.hash)

        await self._db.write(settle)


def _batch(found: Sequence[Holding]) -> CollectBatch | None:
    """Return the call for those that go where the first one does, in the same way."""
    if not found or found[0].destination is None:
        return None
    kind = _kind(found[0])
    items = tuple(each for each in found if _kind(each) == kind)
    return CollectBatch(found[0].asset.chain_id, found[0].destination, items)


def _kind(holding: Holding) -> tuple[Address | None, bool]:
    """Return the destination, and whether it is a deposit: one call takes either deposits or accounts."""
    return holding.destination, holding.salt is not None


def _raised(fee: int) -> int:
    """Return the least fee with which nodes take a transaction in another's place: an eighth more."""
    return fee + fee // 8 + 1


def _fiat(market: Market, items: Iterable[Holding]) -> Decimal:
    """Return the value of holdings in the market's currency."""
    worth = (market.worth(each.asset, each.units) for each in items)
    return sum((each.amount for each in worth if each is not None), Decimal(0))

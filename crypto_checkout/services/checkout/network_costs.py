"""About what each choice of coin costs a payer in network fees, and how long it takes, read in the background.

A page never waits for it: it shows what is known, and has the rest read for the next one. A chain's gas and its coin's
price are read every five minutes at most, and only while payers with a choice are about.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Never, Protocol

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.network_costs import (
    TRANSFER_BYTES,
    ChainPace,
    GasCost,
    NetworkCost,
    network_fee,
    pace,
)
from crypto_checkout.core.errors import CheckoutError, RecoverableError
from crypto_checkout.core.money import Fiat
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode, rate_of
from crypto_checkout.services.loops import every
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import cursors

log = get_logger("network costs")

EVERY_SECONDS = 300.0
"""The time between two readings of a chain, whether they succeed or not."""

SHOWN_FOR_SECONDS = 900.0
"""The age to which a reading is shown."""

_WANTED_FOR_SECONDS = 900.0
_PATIENCE_SECONDS = 20.0
_IDLE_SECONDS = 3_600.0
_STRETCH = timedelta(minutes=2)

DataFee = Callable[[int], Awaitable[int]]
"""Reads what a chain charges for the data of a transaction with so many bytes, in wei; 0 where it doesn't."""


class GasPriceReader(Protocol):
    """Reads the price of gas; `chain.evm.chain` and `chain.sandbox.view` implement it."""

    async def gas_price(self) -> int:
        """Return what a unit of gas costs now, in wei. Raises RecoverableError."""


@dataclass(frozen=True, slots=True)
class _GasReading:
    """A chain's costs and pace, and the time of reading, by a monotonic clock in seconds."""

    cost: GasCost
    pace: ChainPace | None
    read_at: float


@dataclass(frozen=True, slots=True)
class _PriceReading:
    """The price of a chain's coin, and the time of reading."""

    price: Decimal
    read_at: float


@dataclass(frozen=True, slots=True)
class _Market:
    """A chain, and the currency that its fees are shown in."""

    livemode: bool
    chain_id: int
    currency: str


class NetworkCosts:
    """The costs on the chains of both modes; `readers` and `data_fees` are by chain id, `monotonic` in seconds."""

    def __init__(
        self,
        db: Database,
        payment_methods: PaymentMethodsByMode,
        readers: Mapping[int, GasPriceReader],
        data_fees: Mapping[int, DataFee],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._payment_methods = payment_methods
        self._readers = readers
        self._data_fees = dict(data_fees)
        self._monotonic = monotonic
        self._woken = asyncio.Event()
        self._wanted: dict[_Market, float] = {}
        self._tried: dict[_Market | int, float] = {}
        self._gas: dict[int, _GasReading] = {}
        self._prices: dict[_Market, _PriceReading] = {}

    def want(self, livemode: bool, choices: Iterable[Choice], currency: str) -> None:
        """Have the costs of choices known soon, and for a while, because a payer is about to see them."""
        until = self._monotonic() + _WANTED_FOR_SECONDS
        for chain_id in {choice.chain_id for choice in choices} & self._readers.keys():
            market = _Market(livemode, chain_id, currency)
            self._wanted[market] = until
            if self._is_due(chain_id) or self._is_due(market):
                self._woken.set()

    def of(self, livemode: bool, choice: Choice, fiat: Fiat) -> NetworkCost:
        """Return about what a payment of a price costs, as far as it was read of late. Never waits."""
        chain = self._payment_methods.of(livemode).chain(choice.chain_id)
        gas = self._gas.get(choice.chain_id)
        if gas is None or self._is_old(gas.read_at):
            return NetworkCost(None, None)
        price = self._prices.get(_Market(livemode, choice.chain_id, fiat.currency))
        fee = None
        if price is not None and not self._is_old(price.read_at):
            wei = gas.cost.of_transfer(chain.asset(choice.symbol))
            fee = network_fee(wei, chain.assets[0], price.price, fiat.currency)
        seconds = None if gas.pace is None else gas.pace.seconds_to_confirm(chain.confirmations_for(fiat))
        return NetworkCost(fee, seconds)

    async def run(self) -> Never:
        """Read what is wanted, until cancelled."""
        await every(_IDLE_SECONDS, self.turn, log=log, failure="network costs can't be read", woken=self._woken)

    async def turn(self) -> float:
        """Read what is wanted and due, all at once; return the seconds until something is due again."""
        now = self._monotonic()
        self._wanted = {market: until for market, until in self._wanted.items() if until > now}
        chain_ids = {market.chain_id for market in self._wanted}
        readings = [
            *(self._in_time(self._read_gas(each), each) for each in sorted(chain_ids) if self._is_due(each)),
            *(self._in_time(self._read_price(each), each.chain_id) for each in self._wanted if self._is_due(each)),
        ]
        await asyncio.gather(*readings)
        if not self._wanted:
            return _IDLE_SECONDS
        tried = [*(self._tried[each] for each in chain_ids), *(self._tried[each] for each in self._wanted)]
        return max(1.0, min(tried) + EVERY_SECONDS - now)

    def _is_due(self, what: _Market | int) -> bool:
        tried_at = self._tried.get(what)
        return tried_at is None or self._monotonic() - tried_at >= EVERY_SECONDS

    def _is_old(self, read_at: float) -> bool:
        return self._monotonic() - read_at > SHOWN_FOR_SECONDS

    async def _read_gas(self, chain_id: int) -> None:
        self._tried[chain_id] = self._monotonic()
        cost = GasCost(await self._readers[chain_id].gas_price(), await self._data_fee(chain_id))
        seen = await self._db.read(lambda unit: _pace(unit, chain_id), quick=True)
        self._gas[chain_id] = _GasReading(cost, seen, self._monotonic())

    async def _data_fee(self, chain_id: int) -> int:
        """Return the fee of a transfer's data; a chain without one is asked only once."""
        read = self._data_fees.get(chain_id)
        wei = 0 if read is None else await read(TRANSFER_BYTES)
        if not wei:
            self._data_fees.pop(chain_id, None)
        return wei

    async def _read_price(self, market: _Market) -> None:
        self._tried[market] = self._monotonic()
        methods = self._payment_methods.of(market.livemode)
        rate = await rate_of(methods.prices, methods.chain(market.chain_id).assets[0], market.currency)
        self._prices[market] = _PriceReading(rate.value, self._monotonic())

    async def _in_time(self, reading: Awaitable[None], chain_id: int) -> None:
        """Wait for a reading, which may fail: then pages show no figure."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await reading
        except (TimeoutError, RecoverableError, CheckoutError) as error:
            log.info("payers see no network costs of this chain", chain=chain_id, error=str(error))


def _pace(unit: ReadUnit, chain_id: int) -> ChainPace | None:
    """Return a chain's pace over its last minutes, or since the oldest block that is kept."""
    cursor = cursors.cursor(unit, chain_id)
    if cursor is None:
        return None
    older = cursors.newest_before(unit, chain_id, cursor.time - _STRETCH) or cursors.oldest(unit, chain_id)
    if older is None:
        return None
    return pace((older.number, older.time), (cursor.number, cursor.time), cursor.final_number)

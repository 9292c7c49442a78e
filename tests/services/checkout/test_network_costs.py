"""What payers see of network fees: read from a node in the background, seldom, and left out when it isn't known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.evm.collect.survey import data_fee
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.network_costs import NetworkCost, NetworkFee
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.money import Fiat
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.fixed import FixedSource
from crypto_checkout.prices.sandbox import SandboxPrices
from crypto_checkout.services.checkout.network_costs import EVERY_SECONDS, SHOWN_FOR_SECONDS, NetworkCosts
from crypto_checkout.services.checkout.payment_methods import (
    AcceptedChain,
    PaymentMethods,
    PaymentMethodsByMode,
    Policy,
    Tier,
)
from crypto_checkout.store.database import Database
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.migrate import migrate
from tests.support.nodes import Error, Node, PausedClock, answering, no_pause, running
from tests.support.shop import FRESH_XPUB
from tests.support.waiting import until

CHAIN = 8453
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ETH = Asset(CHAIN, "ETH", 18)
USDC = Asset(CHAIN, "USDC", 6, Address("0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"), usd_pegged=True)
COIN, TOKEN = Choice(CHAIN, "ETH"), Choice(CHAIN, "USDC")
GWEI = 10**9
PRICE = Fiat(Decimal(30), "USD")
ORACLE = "0x420000000000000000000000000000000000000f"


@dataclass
class World:
    """A node, a clock, and the costs that are read from them."""

    node: Node
    answers: dict[str, Any]
    clock: PausedClock
    db: Database
    costs: NetworkCosts = field(init=False)

    @property
    def gas_readings(self) -> int:
        return self.node.methods.count("eth_gasPrice")

    def cost(self, choice: Choice = COIN, fiat: Fiat = PRICE) -> NetworkCost:
        return self.costs.of(True, choice, fiat)

    async def look(self) -> None:
        """Have a payer look, and the loop take its turn."""
        self.costs.want(True, [COIN, TOKEN], "USD")
        await self.costs.turn()


@asynccontextmanager
async def world(folder: Path, *, final_number: int | None = None, oracle: bool = False) -> AsyncIterator[World]:
    answers: dict[str, Any] = {"eth_chainId": hex(CHAIN), "eth_gasPrice": hex(2 * GWEI), "eth_call": "0x"}
    if oracle:
        answers["eth_call"] = lambda call, _: "0x" + (10**15).to_bytes(32).hex() if call["to"] == ORACLE else "0x"
    path = folder / "checkout.db"
    migrate(path)
    async with running(answering(answers)) as node, await Database.open(path, lambda: NOW) as db:
        headers = [Header(100 + i, f"0x{i:064x}", "", NOW + timedelta(seconds=2 * i)) for i in range(200)]
        tip = headers[-1]
        await db.write(lambda unit: cursors.remember(unit, CHAIN, headers))
        await db.write(lambda unit: cursors.move(unit, CHAIN, Cursor(tip.number, tip.hash, tip.time, final_number)))
        clock = PausedClock()
        chain = EvmChain(Rpc(CHAIN, [node.url], sleep=no_pause), tokens=[], finality="depth", now=lambda: NOW)
        board = PriceBoard(
            [FixedSource({"ETH/USD": Decimal(3000), "ETH/JPY": Decimal(450_000)}, clock=lambda: NOW)],
            quorum=1,
            max_age_seconds=60,
            max_spread_percent=Decimal(3),
            clock=lambda: NOW,
        )
        methods = PaymentMethods(
            livemode=True,
            wallet=ExtendedPublicKey.parse(FRESH_XPUB),
            chains=(AcceptedChain(CHAIN, "Base", "", 10, (ETH, USDC), (Tier(Decimal(1000), 600),)),),
            prices=SandboxPrices(board, lambda: False, own=()),
            policy=Policy(900, 3600, Decimal("0.1"), Decimal(5)),
            chain_time=lambda moment: moment,
        )
        found = World(node, answers, clock, db)
        found.costs = NetworkCosts(
            db,
            PaymentMethodsByMode([methods]),
            {CHAIN: chain},
            {CHAIN: partial(data_fee, chain.ask_stranger)},
            monotonic=clock,
        )
        try:
            yield found
        finally:
            await board.close()
            await chain.close()


def usd(amount: str, *, is_less: bool = False) -> NetworkFee:
    return NetworkFee(Fiat(Decimal(amount), "USD"), is_less=is_less)


async def test_the_first_payer_waits_for_nothing_and_the_next_sees_the_costs(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        assert shop.cost() == NetworkCost(None, None)
        assert shop.gas_readings == 0
        await shop.look()
        assert shop.cost() == NetworkCost(usd("0.13"), 20)
        assert shop.cost(TOKEN) == NetworkCost(usd("0.39"), 20)


async def test_a_high_price_takes_the_time_of_its_tier(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        await shop.look()
        assert shop.cost(fiat=Fiat(Decimal(2000), "USD")).seconds == 1200


async def test_a_chain_that_calls_blocks_final_takes_as_long_as_they_lag(tmp_path: Path) -> None:
    async with world(tmp_path, final_number=99) as shop:
        await shop.look()
        assert shop.cost().seconds == 400


async def test_a_fee_is_shown_in_the_currency_of_the_session(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        await shop.look()
        yen = Fiat(Decimal(900), "JPY")
        assert shop.cost(fiat=yen) == NetworkCost(None, 20)
        shop.costs.want(True, [COIN], "JPY")
        await shop.costs.turn()
        assert shop.cost(fiat=yen).fee == NetworkFee(Fiat(Decimal(19), "JPY"), is_less=False)
        assert shop.gas_readings == 1


async def test_a_currency_without_a_price_has_no_figure(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        shop.costs.want(True, [COIN], "EUR")
        await shop.costs.turn()
        assert shop.cost(fiat=Fiat(Decimal(30), "EUR")) == NetworkCost(None, 20)


async def test_a_chain_that_charges_for_data_costs_that_more(tmp_path: Path) -> None:
    async with world(tmp_path, oracle=True) as shop:
        await shop.look()
        assert shop.cost().fee == usd("3.13")
        shop.clock.now += EVERY_SECONDS
        await shop.look()
        assert shop.node.methods.count("eth_call") == 2


async def test_a_chain_that_charges_for_no_data_is_asked_about_it_once(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        for _ in range(3):
            await shop.look()
            shop.clock.now += EVERY_SECONDS
        assert (shop.gas_readings, shop.node.methods.count("eth_call")) == (3, 1)


async def test_however_many_payers_look_the_node_is_asked_once_in_five_minutes(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        for _ in range(50):
            await shop.look()
            shop.clock.now += 5.9
        assert shop.gas_readings == 1
        shop.clock.now += 6
        await shop.look()
        assert shop.gas_readings == 2


async def test_when_nobody_looks_any_more_nothing_is_read(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        await shop.look()
        for _ in range(100):
            shop.clock.now += await shop.costs.turn()
        assert shop.gas_readings == 3  # at once, and twice more in the quarter of an hour after the last look


@pytest.mark.parametrize("fails", [{"eth_gasPrice": Error("busy")}, {"eth_gasPrice": "nonsense"}])
async def test_a_node_that_fails_leaves_no_figure_and_is_not_pressed(tmp_path: Path, fails: dict[str, Any]) -> None:
    async with world(tmp_path) as shop:
        shop.answers |= fails
        await shop.look()
        asked = shop.gas_readings
        assert shop.cost() == NetworkCost(None, None)
        await shop.look()
        assert shop.gas_readings == asked


async def test_a_figure_that_is_too_old_is_not_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        await shop.look()
        shop.answers["eth_gasPrice"] = Error("busy")
        shop.clock.now += SHOWN_FOR_SECONDS
        assert shop.cost().fee is not None
        shop.clock.now += 1
        await shop.look()
        assert shop.cost() == NetworkCost(None, None)


async def test_a_look_wakes_the_loop(tmp_path: Path) -> None:
    async with world(tmp_path) as shop:
        loop = asyncio.create_task(shop.costs.run())
        await asyncio.sleep(0)
        shop.costs.want(True, [COIN], "USD")
        await until(lambda: shop.cost().fee is not None, "read the costs")
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop

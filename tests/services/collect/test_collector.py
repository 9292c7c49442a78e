"""Collecting by itself on a real node: when it is worth it, once, within its limits, whenever the process dies."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.chain.evm.collect.sending import Sending
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.chain.wallet.fuel_key import FuelKey, FuelKeyUnusable
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.chain_state import CurrentFees, FuelCall
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.collect.plan_file import SignedTransaction
from crypto_checkout.core.errors import FatalError
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.collect import collector as room
from crypto_checkout.services.collect.collector import Collector, CollectorLimits
from crypto_checkout.services.collect.records import SentCollections
from crypto_checkout.store.collect import fuel
from tests.support.anvil import Anvil
from tests.support.api import App, open_app
from tests.support.collecting import COLD, collect, deploy_contracts
from tests.support.fixed_prices import FixedPrices
from tests.support.shop import ANVIL_CHAIN_ID, ONE_COIN
from tests.support.waiting import until

KEY = FuelKey.of(b"\x09" * 32)
LIMITS = CollectorLimits(Decimal(50), timedelta(hours=24), Decimal(2), Decimal(20))
DEPOSITS = Deposits(COLD)
PRICE = {"amount": {"value": "3000.00", "currency": "USD"}}

Nodes = Callable[..., Anvil]


@dataclass
class Shop:
    """A shop on a node, whose money can be collected."""

    node: Anvil
    app: App
    rpc: Rpc
    now: datetime
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def client(self) -> httpx.AsyncClient:
        """Return the client of a live key."""
        if not self._clients:
            self._clients.append(await self.app.client(livemode=True))
        return self._clients[0]

    def collector(self, chain: Sending | None = None, **limits: Any) -> Collector:
        accepted = AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", 1, (Asset(ANVIL_CHAIN_ID, "ETH", 18),))
        sending = chain or Sending(self.rpc)
        changed = replace(LIMITS, **limits)
        db, records = self.app.opened.db, SentCollections(self.app.opened.events, ANVIL_CHAIN_ID)
        prices = FixedPrices(ETH=3000)
        return Collector(db, sending, accepted, prices, KEY, changed, records, lambda: self.now)

    async def collections(self) -> list[str]:
        """Return the statuses of the collections, newest first."""
        client = await self.client()
        return [each["status"] for each in (await client.get("/collections")).json()["data"]]

    async def events(self) -> list[str]:
        """Return the types of the events about collections, oldest first."""
        client = await self.client()
        found = (await client.get("/events", params={"limit": 100})).json()["data"]
        return [each["type"] for each in reversed(found) if each["type"].startswith("collection.")]

    async def paid(self, count: int = 1) -> list[str]:
        """Sell; return the addresses that were paid."""
        client = await self.client()
        made: list[dict[str, Any]] = []

        async def is_made() -> bool:
            answer = await client.post("/checkout_sessions", json=PRICE)
            made.extend([answer.json()] if answer.status_code == 201 else [])
            return len(made) == count

        await until(is_made, "make sessions")
        for each in made:
            self.node.send(self.node.accounts[9], each["address"], ONE_COIN)
        self.node.mine(2)
        for each in made:

            async def is_paid(session_id: str = each["id"]) -> bool:
                return bool((await client.get(f"/checkout_sessions/{session_id}")).json()["status"] == "paid")

            await until(is_paid, "be paid")
        return [each["address"] for each in made]

    async def keep_looked_at(self) -> None:
        """Sell without a payer: a chain without open sessions is looked at only every 30 seconds."""
        answer = await (await self.client()).post("/checkout_sessions", json=PRICE)
        assert answer.status_code == 201, answer.text

    def fund(self, wei: int = ONE_COIN) -> None:
        self.node.send(self.node.accounts[7], KEY.address, wei)

    async def collects(self, collector: Collector) -> None:
        """Take turns until nothing waits for a block."""
        await collector.turn()

        async def is_done() -> bool:
            await collector.turn()
            return not await self.waiting()

        await until(is_done, "be in a block")

    async def waiting(self) -> list[fuel.FuelTransaction]:
        return await self.app.opened.db.read(lambda unit: fuel.waiting(unit, ANVIL_CHAIN_ID))


def sections(node: Anvil, **collector: Any) -> dict[str, Any]:
    return {
        "wallet": {"cold_address": checksum(COLD)},
        "prices": {"fixed": {"ETH/USD": "3000"}},
        "chains": [
            {"id": ANVIL_CHAIN_ID, "name": "Anvil", "rpc_urls": [node.url], "poll_seconds": 0.05, "confirmations": 1}
        ],
        "collector": collector,
    }


@pytest.fixture
async def shop(anvil: Nodes, tmp_path: Path) -> AsyncIterator[Shop]:
    node = anvil()
    deploy_contracts(node)
    rpc = Rpc(ANVIL_CHAIN_ID, [node.url])
    async with open_app(tmp_path, **sections(node)) as app:
        yield Shop(node, app, rpc, datetime.now(UTC))
    await rpc.close()


async def test_paid_sessions_are_collected_in_one_transaction(shop: Shop) -> None:
    shop.fund()
    await shop.paid(2)
    collector = shop.collector()

    await shop.collects(collector)

    assert shop.node.balance(COLD) == 2 * ONE_COIN
    assert await shop.waiting() == []
    assert collector.problem is None


async def test_a_collection_is_recorded_before_it_is_sent_and_confirmed_by_the_chain(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    with pytest.raises(Killed):
        await shop.collector(Dying(shop.rpc)).turn()
    assert await shop.collections() == ["sent"]

    await shop.collects(shop.collector())
    await shop.keep_looked_at()
    shop.node.mine(3)

    async def is_confirmed() -> bool:
        return await shop.collections() == ["confirmed"]

    await until(is_confirmed, "be confirmed")
    assert await shop.events() == ["collection.created", "collection.confirmed"]


async def test_no_more_often_than_it_may(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    collector = shop.collector()
    await shop.collects(collector)
    await shop.paid()

    await collector.turn()
    assert await shop.waiting() == []
    shop.now += timedelta(hours=24)
    await shop.collects(collector)

    assert shop.node.balance(COLD) == 2 * ONE_COIN


@pytest.mark.parametrize("limits", [{"min_fiat": Decimal(4000)}, {"max_fee_percent": Decimal("0.0001")}])
async def test_what_is_too_little_or_too_dear_waits(shop: Shop, limits: dict[str, Any]) -> None:
    shop.fund()
    await shop.paid()

    await shop.collector(**limits).turn()

    assert shop.node.balance(COLD) == 0
    assert await shop.waiting() == []


async def test_the_cap_of_the_day_holds_and_is_an_issue(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    collector = shop.collector(max_fiat_per_day=Decimal("0.01"))

    await collector.turn()

    assert shop.node.balance(COLD) == 0
    assert "of the 0.01 allowed a day" in str(collector.problem)


async def test_low_fuel_is_an_issue_that_names_the_account(shop: Shop) -> None:
    await shop.paid()
    collector = shop.collector()

    await collector.turn()
    assert checksum(KEY.address) in str(collector.problem)
    shop.fund()
    await collector.turn()

    assert collector.problem is None
    assert len(await shop.waiting()) == 1


class Killed(BaseException):
    """The process ends here."""


class Beaten(Sending):
    """Comes second: a stranger collects after the ledger was read, and before the first try."""

    def __init__(self, rpc: Rpc, be_first: Callable[[], None]) -> None:
        super().__init__(rpc)
        self._be_first = [be_first]

    async def collects(self, sender: Address, data: bytes) -> int:
        if self._be_first:
            self._be_first.pop()()
        return await super().collects(sender, data)


class Dying(Sending):
    """Dies before its first transaction is sent."""

    async def broadcast(self, _: SignedTransaction) -> None:
        raise Killed


async def test_killed_before_it_sent_the_same_transaction_is_sent_at_the_next_start(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    with pytest.raises(Killed):
        await shop.collector(Dying(shop.rpc)).turn()
    (before,) = await shop.waiting()

    await shop.collects(shop.collector())

    assert shop.node.balance(COLD) == ONE_COIN
    assert shop.node.rpc("eth_getTransactionReceipt", before.signed.hash)["status"] == "0x1"
    assert int(shop.node.rpc("eth_getTransactionCount", KEY.address, "latest"), 16) == 1


async def test_what_a_stranger_collected_meanwhile_is_left_out(shop: Shop) -> None:
    shop.fund()
    first, _ = await shop.paid(2)
    index = [checksum(DEPOSITS.address(n)) for n in range(20)].index(first)

    def be_first() -> None:
        collect(shop.node, COLD, {COIN: [DEPOSITS.salt(index)]})

    await shop.collects(shop.collector(Beaten(shop.rpc, be_first)))

    assert shop.node.balance(COLD) == 2 * ONE_COIN
    receipt = shop.node.rpc("eth_getBlockByNumber", "latest", True)["transactions"][0]
    assert receipt["from"] == KEY.address


async def test_fees_are_raised_once_they_rose_above_those_of_what_waits(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    collector = shop.collector()
    with pytest.raises(Killed):
        await shop.collector(Dying(shop.rpc)).turn()
    (before,) = await shop.waiting()
    shop.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(before.call.max_fee_per_gas + 10**9))
    shop.node.mine()
    shop.now += timedelta(minutes=11)

    await shop.collects(collector)

    assert shop.node.balance(COLD) == ONE_COIN
    assert shop.node.rpc("eth_getTransactionReceipt", before.signed.hash) is None
    assert await shop.waiting() == []
    assert (await shop.collections())[1] == "failed"


class Lying(Sending):
    """Says what it likes of the key's transactions and of tips."""

    nonce: int | None = None
    tip: int | None = None

    async def nonces(self, addresses: Sequence[Address]) -> dict[Address, int]:
        return dict.fromkeys(addresses, self.nonce) if self.nonce is not None else await super().nonces(addresses)

    async def fees(self) -> CurrentFees:
        found = await super().fees()
        return found if self.tip is None else replace(found, tip=self.tip)


async def test_a_nonce_that_a_node_made_up_is_waited_for_ten_minutes_and_not_for_ever(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    chain = Lying(shop.rpc)
    chain.nonce = 9
    collector = shop.collector(chain)
    await collector.turn()
    chain.nonce = None
    await collector.turn()
    assert [each.call.nonce for each in await shop.waiting()] == [9]
    shop.now += timedelta(minutes=11)

    await shop.collects(shop.collector())
    shop.now += timedelta(hours=24)
    await shop.collects(shop.collector())

    assert shop.node.balance(COLD) == ONE_COIN
    assert int(shop.node.rpc("eth_getTransactionCount", KEY.address, "latest"), 16) == 1


async def test_a_tip_that_no_block_takes_is_raised(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    chain = Lying(shop.rpc)
    chain.tip = 0
    shop.node.rpc("evm_setAutomine", False)
    collector = shop.collector(chain)
    await collector.turn()
    chain.tip = 2 * 10**9
    await collector.turn()
    assert [each.call.max_priority_fee_per_gas for each in await shop.waiting()] == [0]
    shop.now += timedelta(minutes=11)
    await collector.turn()
    await collector.turn()

    assert [each.call.max_priority_fee_per_gas for each in await shop.waiting()] == [0, chain.tip]
    shop.node.mine()
    await shop.collects(collector)
    assert shop.node.balance(COLD) == ONE_COIN


async def test_absurd_fees_that_a_node_names_are_neither_paid_nor_asked_for(shop: Shop) -> None:
    shop.fund(2 * 10**15)
    await shop.paid()
    chain = Lying(shop.rpc)
    chain.tip = 10**15
    collector = shop.collector(chain, max_fee_percent=Decimal(100))
    await collector.turn()
    assert await shop.waiting() == []
    assert "send at least 0.00666666" in str(collector.problem), "20 dollars, the day's cap"
    shop.fund()
    await collector.turn()
    assert await shop.waiting() == []

    chain.tip = None
    shop.node.rpc("evm_setAutomine", False)
    await collector.turn()
    chain.tip = 10**15
    shop.now += timedelta(minutes=11)
    await collector.turn()
    assert len(await shop.waiting()) == 1
    assert "of the 20 allowed a day" in str(collector.problem)


async def test_what_can_not_be_moved_keeps_nothing_else_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.fund()
    stuck, other = await shop.paid(2)
    shop.node.send(shop.node.accounts[9], stuck, ONE_COIN)
    shop.node.mine(2)
    shop.node.rpc("anvil_setCode", stuck, "0xfe")  # as a blacklist would have it
    monkeypatch.setattr(room, "MOST_IN_ONE", 1)

    await shop.collects(shop.collector())

    assert (shop.node.balance(COLD), shop.node.balance(other)) == (ONE_COIN, 0)


async def test_another_transaction_of_the_key_ends_the_waiting(shop: Shop) -> None:
    shop.fund()
    await shop.paid()
    with pytest.raises(Killed):
        await shop.collector(Dying(shop.rpc)).turn()
    shop.node.rpc("anvil_setNonce", KEY.address, "0x1")

    await shop.collects(shop.collector(min_fiat=Decimal(10_000)))

    assert shop.node.balance(COLD) == 0


async def test_the_server_collects_by_itself(anvil: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_TURN_SECONDS", 0.2)
    monkeypatch.setattr(room, "_WAITING_SECONDS", 0.2)
    node = anvil()
    deploy_contracts(node)
    file = tmp_path / "fuel.key"
    file.write_text((b"\x09" * 32).hex())
    file.chmod(0o600)
    async with open_app(tmp_path, **sections(node, key_file=str(file))) as app:
        shop = Shop(node, app, None, datetime.now(UTC))  # type: ignore[arg-type]
        shop.fund()
        await shop.paid()

        await until(lambda: _has(node, COLD), "collect")


async def _has(node: Anvil, address: str) -> bool:
    return node.balance(address) == ONE_COIN


# --- the key ---------------------------------------------------------------------------------------------------------


def test_the_key_signs_nothing_but_calls_of_the_collector() -> None:
    transfer = FuelCall(1, 0, bytes.fromhex("a9059cbb") + bytes(64), 100_000, 1, 1)

    with pytest.raises(ValueError, match="calls of the Collector only"):
        KEY.sign(transfer)
    with pytest.raises(ValueError, match="calls of the Collector only"):
        KEY.sign(replace(transfer, data=b""))
    KEY.sign(replace(transfer, data=calls.collect(COLD, {COIN: [bytes(32)]})))


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (None, 0o600, "can't be read: No such file"),
        ("09" * 32, 0o640, "chmod 600"),
        ("09" * 31, 0o600, "collect key"),
        ("legal winner thank year", 0o600, "collect key"),
        ("00" * 32, 0o600, "no private key"),
    ],
)
def test_a_file_that_is_no_key_is_refused_and_not_repeated(
    tmp_path: Path, content: str | None, mode: int, reason: str
) -> None:
    file = tmp_path / "fuel.key"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)

    with pytest.raises(FuelKeyUnusable, match=reason) as caught:
        FuelKey.read(file)

    assert content is None or content not in str(caught.value)


async def test_the_server_does_not_start_with_a_key_that_it_can_not_use(anvil: Nodes, tmp_path: Path) -> None:
    with pytest.raises(FatalError, match=r"key_file: .*No such file"):
        async with open_app(tmp_path, **sections(anvil(), key_file=str(tmp_path / "missing.key"))):
            pass

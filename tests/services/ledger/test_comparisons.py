"""While nobody tells balances, no session expires: a contract may have paid it. Its money is found afterwards."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.ledger.health import Readiness
from tests.support.anvil import Anvil
from tests.support.nodes import Error, forwarding, running
from tests.support.shop import CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]
REFUSALS = {
    "limited": "your app has exceeded its compute units per second capacity",
    "one block behind": "header not found",
    "unexplained": "execution aborted (timeout = 5s)",
}
NO_METHOD = "the method eth_call is not supported on your plan"


@dataclass
class Mood:
    """The words with which a node refuses to tell balances at the moment, by method; none where it tells them."""

    words: dict[str, str]

    def refuse_all(self, words: str) -> None:
        self.words = {"eth_call": words, "eth_getBalance": words}

    def recover(self) -> None:
        self.words = {}


@asynccontextmanager
async def moody(node: Anvil) -> AsyncIterator[tuple[str, Mood]]:
    mood = Mood({})

    def answer(method: str) -> Callable[..., Any]:
        return lambda *params: Error(mood.words[method]) if method in mood.words else node.rpc(method, *params)

    lacking = {"debug_traceBlockByHash": Error("the method is not available", -32601)}
    front = forwarding(node.url, {**lacking, **{method: answer(method) for method in ("eth_call", "eth_getBalance")}})
    async with running(front) as url:
        yield url.url, mood


async def follow(node: Anvil, shop: Shop, blocks: int = CONFIRMATIONS) -> None:
    """Make blocks; a turn that fails is repeated, as by the watcher's loop."""
    for _ in range(blocks):
        node.mine()
        for _ in range(10):
            with suppress(ProviderFailed):
                await shop.process()
                break


async def causes(shop: Shop, at: datetime) -> list[str]:
    """Return the causes of the issues about balances at a moment."""
    watched = WatchedMode(Readiness(shop.db, [shop.watcher], lambda: at), [shop.watcher])
    issues = await ServerIssues(watched, livemode=True, folder=shop.path.parent, clock=lambda: at).now()
    return [issue.cause for issue in issues if "balances" in issue.cause]


async def look(shop: Shop, session: SessionResource) -> tuple[str, int]:
    seen = await shop.look(session)
    return seen["status"], int(seen["amountReceived"]["units"])


@pytest.mark.parametrize("words", REFUSALS.values(), ids=REFUSALS)
async def test_a_contracts_payment_on_time_does_not_expire_while_balances_are_refused(
    anvil: Nodes, solc: Compiler, tmp_path: Path, words: str
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with moody(node) as (url, mood), open_shop(tmp_path, [url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask(expires_in_seconds=60)
        await follow(node, shop)
        mood.refuse_all(words)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        await follow(node, shop)
        node.rpc("evm_increaseTime", 600)
        await follow(node, shop, 5)
        assert await shop.processed() == node.block_number(), "other payments are followed meanwhile"
        assert await look(shop, session) == ("pending", 0)
        assert shop.watcher.status.uncompared_since is not None
        shop.restart()
        mood.recover()
        await follow(node, shop, CONFIRMATIONS + 1)
        assert await look(shop, session) == ("paid", ONE_COIN), "on time"
        assert await shop.events(session) == ["session.paid"]
        assert shop.watcher.status.uncompared_since is None


async def test_what_was_not_paid_expires_once_balances_are_compared_again(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with moody(node) as (url, mood), open_shop(tmp_path, [url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask(expires_in_seconds=60)
        await follow(node, shop)
        mood.refuse_all(REFUSALS["limited"])
        node.rpc("evm_increaseTime", 600)
        await follow(node, shop, 5)
        assert await look(shop, session) == ("pending", 0)
        mood.recover()
        await follow(node, shop, 1)
        assert await look(shop, session) == ("expired", 0)


async def test_a_short_refusal_leaves_each_payment_in_its_own_block(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with moody(node) as (url, mood), open_shop(tmp_path, [url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        await follow(node, shop)
        mood.refuse_all(REFUSALS["one block behind"])
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        paid_in = node.mine()
        for _ in range(2):
            with pytest.raises(ProviderFailed, match="header not found"):
                await shop.process()
        mood.recover()
        await follow(node, shop, CONFIRMATIONS)
        (payment,) = (await shop.look(session))["payments"]
        assert payment["blockNumber"] == paid_in


async def test_where_calls_are_refused_balances_are_asked_for_one_by_one(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=2 * ONE_COIN)
    async with moody(node) as (url, mood), open_shop(tmp_path, [url], xpub=FRESH_XPUB) as shop:
        mood.words = {"eth_call": NO_METHOD}
        sessions = [await shop.ask() for _ in range(2)]
        await follow(node, shop, 1)
        payer.send("payAll(address[],uint256[])", [each["address"] for each in sessions], [ONE_COIN, ONE_COIN // 2])
        await follow(node, shop, CONFIRMATIONS + 1)
        assert [await look(shop, each) for each in sessions] == [("paid", ONE_COIN), ("underpaid", ONE_COIN // 2)]
        assert shop.chain._rpc.providers[0].failures == 0


async def test_where_balances_are_never_told_sessions_expire_by_the_blocks(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with moody(node) as (url, mood), open_shop(tmp_path, [url], xpub=FRESH_XPUB) as shop:
        mood.refuse_all(NO_METHOD)
        unpaid, paid = await shop.ask(expires_in_seconds=60), await shop.ask(expires_in_seconds=60)
        pay(node, paid)
        await follow(node, shop)
        node.rpc("evm_increaseTime", 600)
        await follow(node, shop)
        assert [await look(shop, each) for each in (unpaid, paid)] == [("expired", 0), ("paid", ONE_COIN)]
        assert shop.watcher.status.uncompared_since is None


async def test_a_busy_node_makes_no_payment_of_what_an_address_had_before(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with moody(node) as (url, mood), open_shop(tmp_path, [url], xpub=FRESH_XPUB) as shop:
        wallet = shop.sessions._payment_methods.of(livemode=True).wallet
        node.rpc("anvil_setBalance", wallet.address(0), hex(5 * ONE_COIN))
        await follow(node, shop, 1)
        session = await shop.ask()
        mood.refuse_all(REFUSALS["limited"])
        node.mine()
        with pytest.raises(ProviderFailed, match="capacity"):
            await shop.process()
        mood.recover()
        await follow(node, shop)
        assert (await shop.look(session))["payments"] == []


async def test_balances_that_stay_refused_are_an_issue_after_some_minutes(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with moody(node) as (url, mood), open_shop(tmp_path, [url], xpub=FRESH_XPUB) as shop:
        await shop.ask()
        await follow(node, shop)
        mood.refuse_all(REFUSALS["limited"])
        await follow(node, shop, 2)
        since = shop.watcher.status.uncompared_since
        assert since is not None
        assert await causes(shop, since + timedelta(minutes=1)) == []
        assert await causes(shop, since + timedelta(minutes=4)) == ["provider:31337 balances"]

"""Follow a real chain: payments found once and only once, whatever node and process do."""

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core import moments
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, WalletNotConfigured
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.ledger.ancestor import TooDeepReorg
from tests.support.anvil import Anvil
from tests.support.shop import CONFIRMATIONS, ONE_COIN, Shop, open_shop, pay
from tests.support.waiting import WAIT_SECONDS, until

Nodes = Callable[..., Anvil]


async def test_a_payment_is_seen_with_its_first_block_and_paid_with_its_last_confirmation(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        tx_hash = pay(node, session)
        await shop.process()
        assert (await shop.look(session))["status"] == "pending", "a transaction in no block is no payment"

        node.mine()
        await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], seen["confirmations"], seen["txHash"]) == ("detected", 1, tx_hash)

        node.mine(CONFIRMATIONS - 1)
        await shop.process()
        paid = await shop.look(session)
        assert (paid["status"], paid["confirmations"]) == ("paid", CONFIRMATIONS)
        assert paid["paidAt"] is not None
        assert paid["payments"][0]["counted"]
        assert await shop.events(session) == ["session.detected", "session.paid"]


async def test_judging_more_blocks_changes_nothing(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        for _ in range(3):
            node.mine()
            await shop.process()
            shop.restart()
            await shop.process()
        later = await shop.look(session)
        assert {**later, "confirmations": 0, "payments": 0} == {**paid, "confirmations": 0, "payments": 0}
        assert len(later["payments"]) == 1
        assert await shop.events(session) == ["session.paid"]


async def test_what_was_paid_while_the_server_was_off_is_found_without_a_gap(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        sessions = [await shop.ask() for _ in range(5)]
        before = await shop.processed()
    for session in sessions:
        node.mine(7)
        pay(node, session)
        node.mine()
    async with open_shop(tmp_path, [node.url]) as shop:
        assert await shop.processed() == before + 40
        for place, session in enumerate(sessions, 1):
            found = await shop.look(session)
            assert [payment["blockNumber"] for payment in found["payments"]] == [before + 8 * place]
            assert found["status"] == ("paid" if place < 5 else "detected")


async def test_payments_in_one_block_reach_their_own_sessions(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        first, second = await shop.ask(), await shop.ask()
        pay(node, first, ONE_COIN // 2)
        pay(node, second)
        pay(node, first, ONE_COIN // 2)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert [len((await shop.look(each))["payments"]) for each in (first, second)] == [2, 1]
        assert [(await shop.look(each))["status"] for each in (first, second)] == ["paid", "paid"]


async def test_a_top_up_completes_an_underpaid_session(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session, ONE_COIN // 4)
        node.mine(CONFIRMATIONS)
        await shop.process()
        short = await shop.look(session)
        assert (short["status"], short["amountRemaining"]["units"]) == ("underpaid", str(ONE_COIN * 3 // 4))
        pay(node, session, ONE_COIN * 3 // 4)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "paid"
        assert await shop.events(session) == ["session.underpaid", "session.paid"]


async def test_a_payment_that_the_chain_takes_back_is_taken_back_here(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session)
        node.mine(2)
        await shop.process()
        assert (await shop.look(session))["status"] == "detected"
        node.rpc("anvil_reorg", 2, [])
        await shop.process()
        after = await shop.look(session)
        assert (after["status"], after["payments"], after["amountReceived"]["units"]) == ("pending", [], "0")
        assert await shop.events(session) == ["session.detected", "session.reorged"]


async def test_a_reorg_above_an_underpayment_makes_it_wait_for_its_confirmations_again(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session, ONE_COIN // 4)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "underpaid"
        node.rpc("anvil_reorg", CONFIRMATIONS - 1, [])
        await shop.watcher.turn()
        waiting = await shop.look(session)
        assert (waiting["status"], waiting["confirmations"]) == ("pending", 1)
        await shop.process()
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "underpaid"


async def test_a_reorg_above_an_overpayment_leaves_the_price_paid_until_all_of_it_is_deep_again(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session)
        node.mine(2)
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "overpaid"
        node.rpc("anvil_reorg", CONFIRMATIONS - 1, [])
        await shop.watcher.turn()
        assert (await shop.look(session))["status"] == "paid"
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "overpaid"


async def test_a_paid_session_fails_when_its_money_is_gone_and_is_paid_again_when_it_returns(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        assert paid["status"] == "paid"
        node.rpc("anvil_reorg", CONFIRMATIONS, [])
        await shop.process()
        failed = await shop.look(session)
        assert (failed["status"], failed["statusReason"]) == ("failed", "payment_reorged")
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        again = await shop.look(session)
        assert (again["status"], again["statusReason"], again["paidAt"]) == ("paid", None, paid["paidAt"])
        assert await shop.events(session) == [
            "session.paid",
            "session.reorged",
            "session.failed",
            "session.paid",
        ]


async def test_a_transaction_mined_again_in_another_block_is_one_payment(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        transaction = {
            "from": node.accounts[9],
            "to": session["address"],
            "value": hex(ONE_COIN),
            "gas": hex(21000),
            "gasPrice": hex(10**10),
            "nonce": hex(0),
        }
        signed = node.rpc("eth_signTransaction", transaction)
        first = node.rpc("eth_sendRawTransaction", signed)
        node.mine(2)
        await shop.process()
        node.rpc("anvil_reorg", 2, [[signed, 1]])
        await shop.process()
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        assert [payment["txHash"] for payment in paid["payments"]] == [first]
        assert (paid["status"], paid["amountReceived"]["units"]) == ("paid", str(ONE_COIN))


async def test_a_node_that_is_away_expires_nothing(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask(expires_in_seconds=60)
        started = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        pay(node, session)
        node.rpc("evm_setNextBlockTimestamp", started + 50)
        node.mine()
        node.rpc("evm_setNextBlockTimestamp", started + 500)
        node.mine()
        node.stop()
        with pytest.raises(ProviderFailed):
            await shop.process()
        assert (await shop.look(session))["status"] == "pending"
        node.start_again()
        await shop.process()
        assert (await shop.look(session))["status"] == "detected"


async def test_only_a_processed_block_that_is_later_expires_a_session(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask(expires_in_seconds=60)
        unix = int(moments.from_text((await shop.look(session))["expiresAt"]).timestamp())
        node.rpc("evm_setNextBlockTimestamp", unix)
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "pending"
        node.rpc("evm_setNextBlockTimestamp", unix + 2)
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "expired"
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "paid_late"
        assert await shop.events(session) == ["session.expired", "session.paid_late"]


async def test_a_payment_after_grace_is_recorded_and_not_counted(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask(expires_in_seconds=60)
        unix = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        node.rpc("evm_setNextBlockTimestamp", unix + 60 + 3600 + 100)
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        late = await shop.look(session)
        assert (late["status"], late["amountReceived"]["units"]) == ("expired", "0")
        assert [payment["counted"] for payment in late["payments"]] == [False]
        assert await shop.events(session) == ["session.late_payment", "session.expired"]


async def test_a_block_that_cannot_be_read_stops_the_cursor_and_nothing_is_passed_over(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    with liar(node.url) as (url, lies):
        async with open_shop(tmp_path, [url]) as shop:
            session = await shop.ask()
            before = await shop.processed()
            pay(node, session)
            node.mine(CONFIRMATIONS)
            lies.append(lambda call: call["method"] == "eth_getBlockByNumber" and call["params"][0] == hex(before + 1))
            with pytest.raises(ProviderFailed):
                await shop.process()
            assert await shop.processed() == before
            lies.clear()
            await shop.process()
            assert (await shop.look(session))["status"] == "paid"


async def test_a_missing_receipt_stops_the_cursor_too(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    with liar(node.url) as (url, lies):
        async with open_shop(tmp_path, [url]) as shop:
            session = await shop.ask()
            before = await shop.processed()
            pay(node, session)
            node.mine(CONFIRMATIONS)
            lies.append(lambda call: call["method"] == "eth_getTransactionReceipt")
            with pytest.raises(ProviderFailed):
                await shop.process()
            assert await shop.processed() == before
            assert await shop.events(session) == []
            lies.clear()
            await shop.process()
            assert (await shop.look(session))["status"] == "paid"


async def test_a_chain_that_shares_nothing_with_ours_stops_the_watcher_and_changes_nothing(
    anvil: Nodes, tmp_path: Path
) -> None:
    node, other = anvil(mining="manual"), anvil(mining="manual", arguments=["--timestamp", "1700000000"])
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
    other.mine(50)
    with pytest.raises(TooDeepReorg):
        async with open_shop(tmp_path, [other.url]):
            pass
    async with open_shop(tmp_path, [node.url]) as shop:
        assert (await shop.look(session))["status"] == "paid"


async def test_with_a_finality_tag_depth_alone_settles_nothing(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual", arguments=["--slots-in-an-epoch", "4"])
    hurried = itertools.count(0, 60).__next__  # a minute passes between two questions
    async with open_shop(tmp_path, [node.url], finality="finalized", monotonic=hurried) as shop:
        session = await shop.ask()
        pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "detected"
        number = (await shop.look(session))["payments"][0]["blockNumber"]
        while int(node.rpc("eth_getBlockByNumber", "finalized", False)["number"], 16) < number:
            assert (await shop.look(session))["status"] == "detected"
            node.mine()
            await shop.process()
        assert (await shop.look(session))["status"] == "paid"


async def test_the_first_start_can_begin_at_an_earlier_block(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    node.mine(30)
    async with open_shop(tmp_path, [node.url], start_block=10) as shop:
        assert await shop.processed() == 30
        kept = await shop.db.read(lambda unit: unit.one("SELECT MIN(number) AS first FROM blocks"))
        assert kept is not None
        assert kept["first"] == 9


async def test_before_its_first_block_a_chain_takes_no_sessions(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        await shop.db.write(lambda unit: unit.run("DELETE FROM chain_cursors"))
        with pytest.raises(WalletNotConfigured, match="takes no payments yet"):
            await shop.ask()


async def test_the_loop_detects_a_mined_payment_within_a_poll_and_lives_through_an_outage(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        loop = asyncio.create_task(shop.watcher.run())
        try:
            node.stop()
            await until(lambda: shop.watcher.status.error is not None, "the outage")
            node.start_again()
            pay(node, session)
            node.mine(CONFIRMATIONS)
            shop.watcher.wake()
            await until(partial(is_paid, shop, session), "find the payment")
            assert not loop.done()
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


async def test_with_no_session_open_the_chain_rests_until_one_is_made(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], rest_seconds=3600) as shop:
        loop = asyncio.create_task(shop.watcher.run())
        try:
            await until(lambda: shop.watcher._pauses._is_resting, "rest")
            session = await shop.ask()
            pay(node, session)
            node.mine(CONFIRMATIONS)
            await until(partial(is_paid, shop, session), "see the payment of a session made meanwhile")
            await until(lambda: shop.watcher._pauses._is_resting, "rest again")
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


async def is_paid_once_woken(shop: Shop, session: SessionResource) -> bool:
    shop.watcher.wake()
    return await is_paid(shop, session)


async def is_paid(shop: Shop, session: SessionResource) -> bool:
    return (await shop.look(session))["status"] == "paid"


Lie = Callable[[dict[str, Any]], bool]


class Lies(list[Lie]):
    """The calls that are answered wrongly: with null, unless `tell` changes the answer or `url` gives it."""

    tell: Callable[[dict[str, Any]], None] | None = None
    url: str | None = None


@contextmanager
def telling(lies: Lies, tell: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    lies.tell = tell
    yield
    lies.tell = None


@contextmanager
def swapped(lies: Lies, url: str) -> Iterator[None]:
    lies.url = url
    yield
    lies.url = None


@contextmanager
def liar(url: str) -> Iterator[tuple[str, Lies]]:
    """Stand between us and a node, and answer null to the calls that a lie picks."""
    lies = Lies()
    client = httpx.Client(timeout=WAIT_SECONDS, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            asked = json.loads(raw)
            answer = client.post(url, content=raw, headers={"Content-Type": "application/json"}).json()
            calls = {call["id"]: call for call in (asked if isinstance(asked, list) else [asked])}
            for each in answer if isinstance(answer, list) else [answer]:
                call = calls[each["id"]]
                if not any(lie(call) for lie in lies):
                    continue
                if lies.url is not None:
                    each["result"] = client.post(lies.url, json=call).json().get("result")
                elif lies.tell is not None:
                    lies.tell(each)
                else:
                    each["result"] = None
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", lies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()


async def test_one_node_that_shows_another_chain_is_left_for_the_other_node(anvil: Nodes, tmp_path: Path) -> None:
    node, other = anvil(mining="manual"), anvil(mining="manual", arguments=["--timestamp", "1700000000"])
    other.mine(50)
    with liar(node.url) as (url, lies):
        async with open_shop(tmp_path, [url, node.url]) as shop:
            session = await shop.ask()
            lies.append(lambda call: call["method"] == "eth_getBlockByNumber")
            with swapped(lies, other.url):
                loop = asyncio.create_task(shop.watcher.run())
                try:
                    pay(node, session)
                    node.mine(CONFIRMATIONS)
                    await until(partial(is_paid_once_woken, shop, session), "find the payment at the other node")
                    assert not shop.watcher.status.stopped
                finally:
                    loop.cancel()
                    await asyncio.gather(loop, return_exceptions=True)


@pytest.mark.parametrize("honest", [1, 2])
async def test_a_false_word_that_a_payment_reverted_loses_no_payment(anvil: Nodes, tmp_path: Path, honest: int) -> None:
    node = anvil(mining="manual")

    def fail(answer: dict[str, Any]) -> None:
        answer["result"]["status"] = "0x0"

    with liar(node.url) as (url, lies):
        async with open_shop(tmp_path, [url, *[node.url] * honest]) as shop:
            session = await shop.ask()
            pay(node, session)
            node.mine(CONFIRMATIONS)
            lies.append(lambda call: call["method"] == "eth_getTransactionReceipt")
            with telling(lies, fail):
                with pytest.raises(ProviderFailed, match="didn't revert"):
                    await shop.process()
                assert (await shop.look(session))["status"] == "pending"
                if honest > 1:
                    await shop.process()  # the majority is believed, and the liar rests
            await shop.process()
            assert (await shop.look(session))["status"] == "paid"


async def test_a_wrong_parent_hash_is_no_reorg(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")

    def change_parent(answer: dict[str, Any]) -> None:
        answer["result"]["parentHash"] = "0x" + "11" * 32

    with liar(node.url) as (url, lies):
        async with open_shop(tmp_path, [url, node.url]) as shop:
            session = await shop.ask()
            pay(node, session)
            node.mine()
            lies.append(lambda call: call["method"] == "eth_getBlockByNumber" and call["params"][0] == "latest")
            with telling(lies, change_parent):
                with pytest.raises(ChainMoved):
                    await shop.process()
                node.mine(CONFIRMATIONS)
                await shop.process()
            assert (await shop.look(session))["status"] == "paid"
            assert await shop.events(session) == ["session.paid"]

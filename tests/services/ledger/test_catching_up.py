"""Catching up with a chain: blocks are read ahead, in few requests, and nothing rests on what a reorg took back."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.chain.evm import balances
from crypto_checkout.core.errors import ProviderFailed
from scripts.benchmarks.watcher import multiply
from tests.support.anvil import Anvil
from tests.support.nodes import Node, forwarding, http, running
from tests.support.shop import FRESH_XPUB, Shop, open_shop, pay
from tests.support.waiting import until

Nodes = Callable[..., Anvil]


def first_blocks(node: Node) -> list[int]:
    """Return the first block of each request for whole blocks."""
    calls = [body[0] if isinstance(body, list) else body for body in node.bodies]
    asked = [each["params"] for each in calls if each["method"] == "eth_getBlockByNumber"]
    return [int(number, 16) for number, is_full in asked if is_full]


def reads_ahead() -> bool:
    return any(task.get_name().startswith("blocks ") for task in asyncio.all_tasks())


def read_whole(shop: Shop) -> None:
    shop.chain.stop_reading_ranges("this is what is tested")


async def test_the_next_blocks_are_read_while_the_ones_before_are_written(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with running(forwarding(node.url, {})) as front, open_shop(tmp_path, [front.url]) as shop:
        read_whole(shop)
        session = await shop.ask()
        start = node.block_number()
        node.mine(100)
        pay(node, session)
        node.mine(20)
        front.forget()
        other = sqlite3.connect(shop.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # the first batch can't be written meanwhile
        turn = asyncio.create_task(shop.watcher.turn())
        await until(lambda: len(first_blocks(front)) == 3, "read ahead")
        assert not turn.done()
        assert await shop.processed() == start
        other.close()
        assert await turn
        await shop.process()
        numbers = first_blocks(front)
        assert numbers == sorted(set(numbers)), "no block is read twice"
        newest = [each for each in front.bodies if "latest" in json.dumps(each)]
        assert len(newest) <= 2, "the newest block is known while the next ones are being read"
        assert (await shop.look(session))["status"] == "paid"


async def test_what_was_read_ahead_of_a_reorg_is_dropped(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with running(forwarding(node.url, {})) as front, open_shop(tmp_path, [front.url]) as shop:
        read_whole(shop)
        gone, kept = await shop.ask(), await shop.ask()
        node.mine(8)
        pay(node, kept)
        node.mine(12)
        pay(node, gone)  # in a block of the second batch, which is read while the first one is processed
        node.mine(10)
        front.forget()
        assert await shop.watcher.turn()
        await until(lambda: not reads_ahead(), "read the second batch")
        assert first_blocks(front) == [1, 11]
        node.rpc("anvil_reorg", 15, [])
        node.mine(20)
        await shop.process()
        assert await shop.processed() == node.block_number()
        assert ((await shop.look(gone))["status"], (await shop.look(gone))["payments"]) == ("pending", [])
        assert (await shop.look(kept))["status"] == "paid"
        assert await shop.events(gone) == []


async def test_payments_of_a_long_time_are_found_with_few_requests(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with running(forwarding(node.url, {})) as front, open_shop(tmp_path, [front.url]) as shop:
        sessions = [await shop.ask() for _ in range(8)]
        for session in sessions:
            node.mine(30)
            pay(node, session)
            node.mine()
        front.forget()
        await shop.process()
        assert {(await shop.look(each))["status"] for each in sessions} == {"paid", "detected"}
        asked = len(front.bodies)
        # The bisection asks twice for each halving of 248 blocks, and what proves a payment comes in two requests.
        assert asked <= 2 * 8 + 2 * len(sessions) + 16, front.methods


@pytest.mark.sqlite
async def test_first_balances_that_were_stored_before_a_failure_hide_no_payment(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    honest = forwarding(node.url, {})
    fails = True

    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        if fails and balances._FINGERPRINT_CODE in json.dumps(body):
            writer.write(http("", 500))
        else:
            await honest(body, writer)

    async with running(behave) as front, open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        await multiply(shop, session, 5000)
        node.mine()
        with pytest.raises(ProviderFailed):
            await shop.process()
        before = await shop.processed()
        (stored,) = await shop.db.read(lambda unit: unit.all("SELECT COUNT(*) FROM balances WHERE units = '0'"))
        assert stored[0] == 5001
        assert before < node.block_number(), "the turn itself failed"
        pay(node, session)
        node.mine()
        fails = False
        shop.restart()
        await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], len(seen["payments"])) == ("detected", 1)
        assert await shop.events(session) == ["session.detected"]

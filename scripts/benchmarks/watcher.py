"""The watcher: its speed when catching up, compared with the node alone, and the cost of a block with many sessions.

    scripts/bench watcher [--blocks 2000] [--sessions 100 10000 100000] [--old 1000000] [--unassigned 10000]

Needs anvil (CHECKOUT_ANVIL, or brought by scripts/anvil). The node alone: the same blocks twenty at a time, read as raw
JSON and discarded, in turns with the watcher; the ratio is that of the rates. Blocks are read whole, or only where a
payment is. A block's cost: one block, from polling the head to the commit, with open sessions, whose balances are
compared, and old ones, whose addresses are looked up; a full block holds 200 transfers to other addresses. CPU is this
process's alone. The stall is the longest time for which one step kept all others, and so an answer, waiting.
From block to status: from the node's answer that a block is mined until its payment is stored, without the pause before
the next poll. Node and watcher share the machine's processors.
"""

import argparse
import asyncio
import gc
import itertools
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from crypto_checkout.chain.rpc.providers import Call, Rpc
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.checkout import unassigned_addresses
from crypto_checkout.services.upkeep.loop_watch import LoopWatch
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.database import WriteUnit
from scripts.benchmarks._figures import print_machine, spread
from tests.support import anvil
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB, Shop, open_shop, pay

BATCH = 20
RUNS = 5
ROUNDS = 5
TRANSFERS = 200
ETHEREUM_SECONDS = 12
BLOCKS_PER_PAYMENT = 50


@dataclass(frozen=True)
class Used:
    """The time that something took: by the clock, of the processor, and in its longest step."""

    seconds: float
    cpu_seconds: float
    stall_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the watcher on a real node.")
    parser.add_argument("--blocks", type=int, default=2000, help="the number of blocks to catch up with")
    parser.add_argument(
        "--sessions", type=int, nargs="*", default=[100, 10_000, 100_000], help="the numbers of open sessions"
    )
    parser.add_argument("--old", type=int, default=1_000_000, help="the number of old sessions besides")
    parser.add_argument("--unassigned", type=int, default=10_000, help="how many addresses no session has")
    options = parser.parse_args()
    program = anvil.find()
    if program is None:
        raise SystemExit("There is no anvil: scripts/anvil brings it.")
    print_machine()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        node_folder = Path(tempfile.mkdtemp(dir=folder))
        with anvil.Anvil(program, node_folder, mining="manual") as node:
            for paid, whole in itertools.product((False, True), (False, True)):
                shop_folder = Path(tempfile.mkdtemp(dir=folder))
                asyncio.run(catch_up(node, shop_folder, options.blocks, paid=paid, whole=whole))
            asyncio.run(from_block_to_status(node, Path(tempfile.mkdtemp(dir=folder))))
            if options.unassigned:
                asyncio.run(cost_of_unassigned(node, Path(tempfile.mkdtemp(dir=folder)), options.unassigned))
            for count in options.sessions:
                asyncio.run(cost_of_a_block(node, Path(tempfile.mkdtemp(dir=folder)), count, 0))
            if options.sessions and options.old:
                asyncio.run(
                    cost_of_a_block(node, Path(tempfile.mkdtemp(dir=folder)), max(options.sessions), options.old)
                )


async def catch_up(node: anvil.Anvil, folder: Path, blocks: int, *, paid: bool, whole: bool) -> None:
    rates, ratios, milliseconds = [], [], []
    async with open_shop(folder, [node.url], xpub=FRESH_XPUB) as shop:
        if whole:
            shop.chain.stop_reading_ranges("this is to be measured")
        session = await shop.ask()
        for _ in range(ROUNDS):
            start = await shop.processed()
            for _ in range(0, blocks // ROUNDS, BLOCKS_PER_PAYMENT):
                if paid:
                    pay(node, session, 1)
                node.mine(BLOCKS_PER_PAYMENT)
            count = node.block_number() - start
            bare = await bare_seconds(node, start + 1, start + count)
            used = await measured(shop)
            assert await shop.processed() == start + count
            rates.append(count / used.seconds)
            ratios.append(bare / used.seconds)
            milliseconds.append(used.cpu_seconds * 1000 / count)
        found = len((await shop.look(session))["payments"])
        assert bool(found) == paid
    name = "catching up" + (", whole" if whole else "") + (f", paid every {BLOCKS_PER_PAYMENT}" if paid else ", unpaid")
    print(
        f"{name:<48} {median(rates):>10,.0f} blocks/s; {spread(ratios, 2, 'of the node alone')};"
        f" {median(milliseconds):.2f} ms CPU each"
    )


async def bare_seconds(node: anvil.Anvil, first: int, last: int) -> float:
    rpc = Rpc(ANVIL_CHAIN_ID, [node.url])
    started = time.perf_counter()
    for number in range(first, last + 1, BATCH):
        numbers = range(number, min(last, number + BATCH - 1) + 1)
        calls: list[Call] = [("eth_getBlockByNumber", [hex(each), True]) for each in numbers]
        await rpc.with_failover(lambda ask, calls=calls: ask(calls))  # type: ignore[misc]
    seconds = time.perf_counter() - started
    await rpc.close()
    return seconds


async def from_block_to_status(node: anvil.Anvil, folder: Path) -> None:
    seconds = []
    async with open_shop(folder, [node.url], xpub=FRESH_XPUB) as shop:
        for _ in range(5 * RUNS):
            session = await shop.ask()
            pay(node, session)
            node.mine()
            started = time.perf_counter()
            await shop.process()
            seconds.append(time.perf_counter() - started)
            assert (await shop.look(session))["status"] == "detected"
    print(f"{'from block to status':<48} {spread([each * 1000 for each in seconds], 1, 'ms')}")


async def cost_of_a_block(node: anvil.Anvil, folder: Path, count: int, old: int) -> None:
    async with open_shop(folder, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        await multiply(shop, session, count - 1)
        if old:
            await multiply(shop, session, old, long_ago=True)
        gc.collect()
        gc.freeze()  # as the server does after its start
        before = memory_mib()
        node.mine()
        first = await measured(shop)
        usual = [await one_block_after(node, shop, 0) for _ in range(RUNS)]
        full = [await one_block_after(node, shop, TRANSFERS) for _ in range(RUNS)]
        shop.restart()
        node.mine()
        again = await measured(shop)
        size = size_mib(folder)
        watching = memory_mib() - before
    name = f"a block with {count:,} open" + (f" and {old:,} old" if old else "") + " sessions"
    print(f"{name:<48} {spread([each.cpu_seconds * 1000 for each in usual], 1, 'ms CPU')}, {told(usual)}")
    print(f"{'  full':<48} {spread([each.cpu_seconds * 1000 for each in full], 1, 'ms CPU')}, {told(full)}")
    print(f"{'  the first':<48} {first.cpu_seconds * 1000:>10,.1f} ms CPU, {told([first])}")
    print(
        f"{'  after a restart':<48} {again.cpu_seconds * 1000:>10,.1f} ms CPU, {told([again])};"
        f" {watching:,.0f} MiB of memory, {size:,.0f} MiB on disk"
    )
    if median(each.seconds for each in usual) > ETHEREUM_SECONDS:
        print("MISSED: slower than Ethereum makes blocks")


def told(used: list[Used]) -> str:
    seconds, stall = median(each.seconds for each in used), max(each.stall_seconds for each in used)
    return f"{seconds * 1000:,.0f} ms, longest stall {stall * 1000:,.0f} ms"


async def cost_of_unassigned(node: anvil.Anvil, folder: Path, count: int) -> None:
    """Measure a block before and after so many addresses were forgotten, and the start that records them."""
    key = ExtendedPublicKey.parse(FRESH_XPUB)
    async with open_shop(folder, [node.url], xpub=FRESH_XPUB) as shop:
        await shop.ask()
        await one_block_after(node, shop, 0)
        before = [(await one_block_after(node, shop, 0)).seconds for _ in range(RUNS)]
        await shop.db.write(lambda unit: wallets.move_past(unit, key.wallet_id, count))
        started = time.perf_counter()
        await unassigned_addresses.record(shop.db, key, livemode=True)
        recording = time.perf_counter() - started
        first = (await one_block_after(node, shop, 0)).seconds
        after = [(await one_block_after(node, shop, 0)).seconds for _ in range(RUNS)]
    what = f"a block with {count:,} addresses of no session"
    print(
        f"{what:<48} {spread([each * 1000 for each in after], 1, 'ms')};"
        f" without them {median(before) * 1000:,.0f} ms; the first {first * 1000:,.0f} ms, and recording them at the"
        f" start {recording * 1000:,.0f} ms"
    )


async def one_block_after(node: anvil.Anvil, shop: Shop, transfers: int) -> Used:
    for place in range(transfers):
        node.send(node.accounts[place % 8], node.accounts[8], 1)
    node.mine()
    return await measured(shop)


async def measured(shop: Shop) -> Used:
    """Process all blocks that there are."""
    watch = LoopWatch()
    watching = asyncio.create_task(watch.run())
    started, used = time.perf_counter(), time.process_time()
    await shop.process()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - used
    watching.cancel()
    return Used(seconds, cpu_seconds, watch.longest_seconds())


def size_mib(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.glob("checkout.db*")) / 2**20


def memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def multiply(shop: Shop, session: SessionResource, count: int, *, long_ago: bool = False) -> None:
    """Copy a session, with unused addresses; with `long_ago`, the copies have expired."""

    def copy(unit: WriteUnit) -> None:
        names = [row["name"] for row in unit.all("SELECT name FROM pragma_table_info('checkout_sessions')")]
        others = {"seq": "NULL", "id": "id || n", "derivation_index": "-n", "address": "printf('0x%040x', n + 4096)"}
        if long_ago:
            moments = dict.fromkeys(("expires_at", "grace_until"), "'2020-01-01T00:00:00.000Z'")
            others |= {"id": "id || 'o' || n", "address": "printf('0x01%038x', n)", "status": "'expired'", **moments}
            others["derivation_index"] = "-1000000 - n"
        unit.run(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count) "  # noqa: S608
            f"INSERT INTO checkout_sessions ({', '.join(names)}) "
            f"SELECT {', '.join(others.get(name, name) for name in names)} "
            "FROM checkout_sessions, numbers WHERE id = :id",
            {"count": count, "id": session["id"]},
        )

    if count:
        await shop.db.write(copy)


if __name__ == "__main__":
    main()

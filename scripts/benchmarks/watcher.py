"""How fast the watcher catches up, beside the node alone, and what a block costs with many sessions open.

    scripts/bench watcher [--blocks 2000] [--sessions 100 10000 100000]

On anvil (CHECKOUT_ANVIL, or brought by scripts/anvil). The node alone: the same blocks in the same batches, read as raw
JSON and thrown away. A block's cost: one empty block, from the look at the head to the commit, with so many sessions in
the native coin whose balances are compared. Node and watcher share the machine's processors.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

from crypto_checkout.chain.rpc import Rpc
from crypto_checkout.core.shapes import SessionResource
from crypto_checkout.store.database import WriteUnit
from scripts.benchmarks._figures import say_where, spread
from tests import anvil
from tests.shop import ANVIL_CHAIN_ID, FRESH_XPUB, Shop, open_shop, pay

BATCH = 20
RUNS = 5
ETHEREUM_SECONDS = 12
BLOCKS_PER_PAYMENT = 50


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the watcher on a real node.")
    parser.add_argument("--blocks", type=int, default=2000, help="how many blocks are caught up with")
    parser.add_argument("--sessions", type=int, nargs="*", default=[100, 10_000, 100_000], help="how many are open")
    options = parser.parse_args()
    program = anvil.find()
    if program is None:
        raise SystemExit("There is no anvil: scripts/anvil brings it.")
    say_where()
    with tempfile.TemporaryDirectory() as folder:
        node_folder = Path(tempfile.mkdtemp(dir=folder))
        with anvil.Anvil(program, node_folder, mining="manual") as node:
            asyncio.run(catch_up(node, Path(tempfile.mkdtemp(dir=folder)), options.blocks))
            for count in options.sessions:
                asyncio.run(cost_of_a_block(node, Path(tempfile.mkdtemp(dir=folder)), count))


async def catch_up(node: anvil.Anvil, folder: Path, blocks: int) -> None:
    async with open_shop(folder, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        start = await shop.processed()
        for _ in range(0, blocks, BLOCKS_PER_PAYMENT):
            pay(node, session, 1)
            node.mine(BLOCKS_PER_PAYMENT)
        bare = await bare_seconds(node, start + 1, start + blocks)
        started = time.perf_counter()
        await shop.process()
        seconds = time.perf_counter() - started
        assert await shop.processed() == start + blocks
        assert len((await shop.look(session))["payments"]) == blocks // BLOCKS_PER_PAYMENT
    print(f"{'catching up':<38} {blocks / seconds:>10,.0f} blocks/s of {blocks / bare:,.0f} that the node alone gives")


async def bare_seconds(node: anvil.Anvil, first: int, last: int) -> float:
    rpc = Rpc(ANVIL_CHAIN_ID, [node.url])
    started = time.perf_counter()
    for number in range(first, last + 1, BATCH):
        numbers = range(number, min(last, number + BATCH - 1) + 1)
        await rpc.batch([("eth_getBlockByNumber", [hex(each), True]) for each in numbers])
    seconds = time.perf_counter() - started
    await rpc.close()
    return seconds


async def cost_of_a_block(node: anvil.Anvil, folder: Path, count: int) -> None:
    async with open_shop(folder, [node.url], xpub=FRESH_XPUB) as shop:
        await multiply(shop, await shop.ask(), count)
        node.mine()
        started = time.perf_counter()
        await shop.process()
        first = time.perf_counter() - started
        seconds = []
        for _ in range(RUNS):
            node.mine()
            started = time.perf_counter()
            await shop.process()
            seconds.append(time.perf_counter() - started)
    what = f"a block with {count:,} open sessions"
    print(f"{what:<38} {spread([each * 1000 for each in seconds], 1, 'ms')}; the first {first * 1000:,.0f} ms")
    if median(seconds) > ETHEREUM_SECONDS:
        print("MISSED: slower than Ethereum's blocks come")


async def multiply(shop: Shop, session: SessionResource, count: int) -> None:
    """Copy a session with addresses that nobody has."""

    def copy(unit: WriteUnit) -> None:
        names = [row["name"] for row in unit.all("SELECT name FROM pragma_table_info('checkout_sessions')")]
        others = {"seq": "NULL", "id": "id || n", "derivation_index": "-n", "address": "printf('0x%040x', n + 4096)"}
        unit.run(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count) "  # noqa: S608
            f"INSERT INTO checkout_sessions ({', '.join(names)}) "
            f"SELECT {', '.join(others.get(name, name) for name in names)} "
            "FROM checkout_sessions, numbers WHERE id = :id",
            {"count": count - 1, "id": session["id"]},
        )

    if count > 1:
        await shop.db.write(copy)


if __name__ == "__main__":
    main()

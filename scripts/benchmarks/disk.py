"""The disk that sessions take, by table with its indexes, before and after their events are packed.

    scripts/bench disk [--orders 1000] [--file DATABASE]

Each order is one of `scripts/bench orders`: a session on the simulated chain that is paid, with its three events and
their deliveries to an endpoint. `--file` measures a copy of a database that is there instead. Then all events are
packed by the server's own loop, with its pauses, while one write after the other is made beside it, as the API makes
them. Sizes are of whole pages: as they are at first, after packing, and after `VACUUM`, which gives free pages back to
the disk.
"""

import argparse
import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

from crypto_checkout.services.upkeep.event_packing import KEPT_PLAIN, EventPacking
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import bodies, packing
from scripts.benchmarks._figures import print_machine
from scripts.benchmarks.deliveries import number_of, receiver
from scripts.benchmarks.orders import EVENTS, go_through
from scripts.benchmarks.requests import ROOT, Shop
from tests.support.waiting import wait_until

SAMPLES = 1_000
BETWEEN_PROBES_SECONDS = 0.005
QUIET_SECONDS = 5.0
FEW_BYTES = 1_000


def sell(orders: int, folder: Path) -> Path:
    """Sell so many orders on a server of the folder's own; return its database."""
    with receiver(0) as url, contextlib.ExitStack() as stack:
        shop = Shop("disk", ROOT, folder / "shop", stack)
        stack.enter_context(shop.endpoint(url, EVENTS))
        asyncio.run(go_through(shop, orders, 0))
        wait_until(lambda: number_of(url) == orders * len(EVENTS), "all orders are paid")
        return shop.database


def sizes(path: Path) -> Mapping[str, int]:
    """Return the bytes of each table with its indexes, and of free pages."""
    found: defaultdict[str, int] = defaultdict(int)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = dict(connection.execute("SELECT name, tbl_name FROM sqlite_schema").fetchall())
        for name, taken in connection.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name"):
            found[tables.get(name, name)] += taken
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    return {**found, "(free)": pages * size}


async def pack_beside_writes(path: Path) -> None:
    """Pack all events, and print how long writes and reads beside it took, and without it."""
    ahead = datetime.now(UTC) + KEPT_PLAIN + timedelta(minutes=1)
    async with await Database.open(path, lambda: datetime.now(UTC), serves=True) as db:
        quiet: list[float] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_SECONDS):
                await probe(db, quiet)
        busy: list[float] = []
        number, started = await db.read(packing.count_plain), time.perf_counter()
        probing = asyncio.create_task(probe(db, busy))
        await EventPacking(db, lambda: ahead).turn()
        seconds = time.perf_counter() - started
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
    print(f"packed {number:,} events in {seconds:,.1f} s, with the server's pauses")
    for name, values in (("without packing", quiet), ("beside packing", busy)):
        parts = quantiles(values, n=1000)
        print(f"a write {name:16} median {parts[499]:6.1f} ms, p99 {parts[989]:6.1f} ms, most {max(values):6.1f} ms")


async def probe(db: Database, milliseconds: list[float]) -> None:
    """Write a row and wait for the disk, as creating a session does, again and again, and note the time."""

    def touch(unit: WriteUnit) -> None:
        unit.run("INSERT OR REPLACE INTO setup_marks (name, at) VALUES ('probe', :now)", {"now": unit.now_text})

    while True:
        started = time.perf_counter()
        await db.write(touch, quick=True)
        milliseconds.append(1e3 * (time.perf_counter() - started))
        await asyncio.sleep(BETWEEN_PROBES_SECONDS)


def print_costs(path: Path) -> None:
    """Print the bytes of a body before and after, and the processor time that packing and unpacking it takes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT body FROM events WHERE packed IS NULL ORDER BY seq DESC LIMIT ?", (SAMPLES,)
        ).fetchall()
    texts = [body for (body,) in rows]
    started = time.process_time()
    packed = [bodies.pack(text) for text in texts]
    between = time.process_time()
    assert [bodies.unpack(data) for data in packed] == texts
    ended = time.process_time()
    before, after = (sum(map(len, each)) / len(texts) for each in ([text.encode() for text in texts], packed))
    packing_us, unpacking_us = ((b - a) / len(texts) * 1e6 for a, b in ((started, between), (between, ended)))
    print(f"a body: {before:,.0f} bytes, packed {after:,.0f}, {before / after:.1f} times less")
    print(f"packing one takes {packing_us:.0f} µs of processor time, unpacking {unpacking_us:.0f} µs")


def print_table(sessions: int, columns: Mapping[str, Mapping[str, int]]) -> None:
    """Print kilobytes per 1,000 sessions, a row for each table that takes some."""
    names = {name for column in columns.values() for name in column}
    biggest = sorted(names, key=lambda name: -max(column.get(name, 0) for column in columns.values()))
    rows = {name: [column.get(name, 0) / sessions for column in columns.values()] for name in biggest}
    total = [sum(column.values()) / sessions for column in columns.values()]
    print(f"\n{'kB per 1,000 sessions':28}" + "".join(f"{title:>16}" for title in columns))
    for name, values in [*rows.items(), ("in all", total)]:
        if max(values) * sessions >= FEW_BYTES * 16:
            print(f"{name:28}" + "".join(f"{value:>16,.0f}" for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the disk that sessions take.")
    parser.add_argument("--orders", type=int, default=1_000, help="how many to sell")
    parser.add_argument("--file", type=Path, help="a database to measure a copy of, instead")
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, path = arguments.file or sell(arguments.orders, folder), folder / "copy.db"
        with contextlib.closing(sqlite3.connect(source)) as one, contextlib.closing(sqlite3.connect(path)) as other:
            one.backup(other)
            (sessions,) = one.execute("SELECT COUNT(*) FROM checkout_sessions").fetchone()
        migrate(path)
        columns = {"before": sizes(path)}
        print_costs(path)
        asyncio.run(pack_beside_writes(path))
        columns["packed"] = sizes(path)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM")
        columns["and vacuumed"] = sizes(path)
        print_table(sessions, columns)


if __name__ == "__main__":
    main()

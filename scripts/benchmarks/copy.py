"""A large database copied to a PostgreSQL server and back: duration, rate, and memory of either way.

    scripts/bench copy --sessions 1000000 [--keep FOLDER]

Both ways are the command's own, in a process of its own; the server is a throw-away one that waits for its disk.
`--keep` names a folder for the database of the first side, which is reused if it is there.
"""

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from scripts.benchmarks._figures import print_machine
from scripts.benchmarks.dashboard import START, seed
from tests.support.postgresql import PostgresqlServer, find
from tests.support.server import PROGRAM, environment

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on"}
SERVER_MEMORY = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a copy to PostgreSQL and back.")
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    programs = find()
    if programs is None:
        raise SystemExit("There is no PostgreSQL: apt-get install postgresql")
    print_machine()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = seeded((given.keep or folder) / "seeded.db", given.sessions)
        there = folder / "checkout-data" / "checkout.db"
        there.parent.mkdir()
        shutil.copyfile(path, there)
        server = PostgresqlServer(programs, **DURABLE, **SERVER_MEMORY)
        stack.callback(server.remove)
        server.start()
        url = server.empty_database(folder).url
        digests = [measure(folder, "to PostgreSQL", "", url), measure(folder, "back to a file", url, "back.db")]
        if digests[0] != digests[1]:
            raise SystemExit(f"The digests differ: {digests}")
        print(f"Both ways have the digest {digests[0]}.")
        sizes = [each.stat().st_size / 1e9 for each in (there, folder / "back.db")]
        print(f"The file had {sizes[0]:,.2f} GB before, and has {sizes[1]:,.2f} GB after.")


def seeded(path: Path, count: int) -> Path:
    """Make a database with so many sessions and their payments, unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        migrate(path)
        asyncio.run(fill(path, count))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        print(f"seeding {count:,} sessions: {time.perf_counter() - started:,.0f} s")
    return path


async def fill(path: Path, count: int) -> None:
    async with await Database.open(path, lambda: START + timedelta(days=400)) as db:
        await seed(db, count)


def measure(folder: Path, name: str, source: str, target: str) -> str:
    """Run a copy, print its figures, and return the digest."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*PROGRAM, "database", "copy"],
        cwd=folder,
        env=environment({"CHECKOUT__DATABASE__URL": source, "CHECKOUT_COPY_TO": target}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None, "asked for"
    assert process.stderr is not None, "asked for"
    steps, most_mb = ended(process.stderr, started, process.pid)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{steps}\n{output}")
    seconds = time.perf_counter() - started
    rows = int(re.findall(r"^([\d,]+) rows", output)[0].replace(",", ""))
    print(
        f"{name:<16} {rows:>12,} rows {seconds:>8,.0f} s {rows / seconds:>10,.0f} rows a second, "
        f"{usage.ru_utime + usage.ru_stime:,.0f} s of its processor, {most_mb:,.0f} MB at most; {steps}",
        flush=True,
    )
    return str(re.findall(r"digest ([0-9a-f]{64})", output)[0])


def ended(lines: Iterable[str], started: float, pid: int) -> tuple[str, float]:
    """Return when each step ended, and the most memory that the process had."""
    times: dict[str, float] = {}
    most_mb = 0.0
    for line in lines:
        most_mb = max(most_mb, highest_mb(pid))
        if (step := line.partition(":")[0]) and " of " in line:
            times[step] = time.perf_counter() - started
        else:
            print(line, end="")
    return ", ".join(f"{step} until {seconds:,.0f} s" for step, seconds in times.items()), most_mb


def highest_mb(pid: int) -> float:
    """Return VmHWM of a process; that of `wait4` would count what its parent had before it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8"))
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()

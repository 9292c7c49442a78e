"""A backup of a large database while a server answers: what creating and reading take before it and meanwhile.

    scripts/bench backup --gigabytes 7 [--per-second 50] [--keep FOLDER] [--encrypted]

The requests come at fixed times, half of them creates and half reads, whether or not earlier ones are answered: so a
server that stands still for a second shows. `--keep` names a folder for the database, which is reused if it is there.
The backup is the server's own, with its pauses. Its write-ahead log is measured too, which can't shrink meanwhile.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pyrage import x25519

from crypto_checkout.core.backups import Rotation
from crypto_checkout.store.age_files import UNENCRYPTED, Encryption
from crypto_checkout.store.backups import worker
from crypto_checkout.store.backups.making import Job
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from scripts.benchmarks._figures import print_machine
from scripts.benchmarks.dashboard import START, seed
from scripts.benchmarks.orders import Connection
from scripts.benchmarks.requests import BODY, request
from tests.support.server import PROGRAM, Server

SESSIONS_PER_GIGABYTE = 575_000
BEFORE_SECONDS = 30
TARGET_MS = 100.0
CONNECTIONS = 64
MIB = 1 << 20


@dataclass
class Phase:
    """The milliseconds that answers took, from the time at which the request was due."""

    creates: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)


async def load(port: int, key: str, per_second: float, phase: Callable[[], Phase | None]) -> None:
    """Send requests at their times until there is no phase any more."""
    line = f"Authorization: Bearer {key}"
    create = request("POST", "/api/v1/checkout_sessions", line, body=BODY)
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(Connection(*await asyncio.open_connection("127.0.0.1", port)))
    newest = json.loads((await (first := await free.get()).ask(create))[1])["id"]
    free.put_nowait(first)

    async def one(due: float, *, is_create: bool) -> None:
        nonlocal newest
        into, connection = phase(), await free.get()
        message = create if is_create else request("GET", f"/api/v1/checkout_sessions/{newest}", line)
        body = (await connection.ask(message))[1]
        free.put_nowait(connection)
        if is_create:
            newest = json.loads(body)["id"]
        if into is not None:
            (into.creates if is_create else into.reads).append(1000 * (time.perf_counter() - due))

    due, number = time.perf_counter(), 0
    async with asyncio.TaskGroup() as requests:
        while phase() is not None:
            due, number = due + 0.5 / per_second, number + 1
            await asyncio.sleep(max(0, due - time.perf_counter()))
            requests.create_task(one(due, is_create=number % 2 == 0))


@contextlib.contextmanager
def database(folder: Path, gigabytes: float) -> Iterator[Path]:
    """Make a database of the size, unless it is there."""
    path = folder / "checkout-data" / "checkout.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        migrate(path)
        asyncio.run(seeded(path, round(SESSIONS_PER_GIGABYTE * gigabytes)))
        print(f"seeding: {time.perf_counter() - started:,.0f} s")
    migrate(path)
    yield path


async def seeded(path: Path, count: int) -> None:
    async with await Database.open(path, lambda: START + timedelta(days=400)) as db:
        await seed(db, count)


async def measure(server: Server, key: str, folder: Path, per_second: float, job: Job) -> None:
    """Print the figures before a backup and of each of its steps."""
    current: Phase | None = Phase()
    port = httpx.URL(server.url).port or 0
    loading = asyncio.create_task(load(port, key, per_second, lambda: current))
    await asyncio.sleep(BEFORE_SECONDS / 3)
    current = before = Phase()
    await asyncio.sleep(BEFORE_SECONDS)
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "backup-worker", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None, "asked for"
    assert process.stdout is not None, "asked for"
    process.stdin.write(worker.to_line(job, datetime.now(UTC)))
    log, step, longest, started = folder / "checkout-data" / "checkout.db-wal", "before", 0, time.perf_counter()
    told = {}
    while line := await process.stdout.readline():
        told = json.loads(line)
        longest = max(longest, log.stat().st_size)
        if (now := told.get("step", "after")) != step:
            show(step, before if step == "before" else current, time.perf_counter() - started)
            step, current, started = now, Phase(), time.perf_counter()
    assert "made" in told, told
    current = None
    await loading
    print(f"The write-ahead log grew to {longest / MIB:,.0f} MiB.")


def show(step: str, phase: Phase, seconds: float) -> None:
    """Print the median, the 99th percentile and the longest of a phase."""
    duration = "" if step == "before" else f" ({seconds:,.0f} s)"
    for name, values in (("creates", phase.creates), ("reads", phase.reads)):
        ordered = sorted(values) or [0.0]
        p99 = ordered[int(0.99 * (len(ordered) - 1))]
        missed = f"   MISSED: more than {TARGET_MS:.0f} ms" if step != "before" and p99 > TARGET_MS else ""
        print(
            f"{step + duration:<20} {name:<8} {ordered[len(ordered) // 2]:>8,.1f} ms p50 {p99:>8,.1f} ms p99 "
            f"{ordered[-1]:>8,.1f} ms longest, of {len(ordered):,}{missed}",
            flush=True,
        )


def main() -> None:
    """Seed the database, start the server, and measure."""
    parser = argparse.ArgumentParser(description="Measure a backup beside a server's answers.")
    parser.add_argument("--gigabytes", type=float, default=7)
    parser.add_argument("--per-second", type=float, default=50, help="creates a second, and as many reads")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--encrypted", action="store_true", help="encrypt to a public key of age")
    given = parser.parse_args()
    print_machine()
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = stack.enter_context(database(folder, given.gigabytes))
        server = stack.enter_context(Server(folder, "[backup]\nevery_hours = 0\n"))
        made = subprocess.run(
            [*PROGRAM, "keys", "create", "--name", "bench", "--json"], cwd=folder, capture_output=True, check=True
        )
        print(f"{path.stat().st_size / 1e9:,.1f} GB, {given.per_second:.0f} creates a second and as many reads")
        encryption = Encryption((str(x25519.Identity.generate().to_public()),)) if given.encrypted else UNENCRYPTED
        job = Job(path, folder / "checkout-data" / "backups", encryption, Rotation(1, 0))
        asyncio.run(measure(server, json.loads(made.stdout)["key"], folder, given.per_second, job))


if __name__ == "__main__":
    main()

"""Webhook deliveries: the number per second of a real server, the delay after a commit, and the memory taken.

    scripts/bench deliveries [--backlog 8000] [--endpoints 1] [--new] [--events 300] [--failing 10]

The backlog is written while the server is off, so that the server starts with all of it. The endpoints took a delivery
before, so their pace grows within a second; with --new they didn't, and it grows for seven. That time doesn't count for
the full speed, nor for the processor time at full speed. Each delivery is signed, sent over
HTTP to a receiver in its own process, and recorded on disk. Then events are created one at a time over the API, and
the delay is measured from the event's time, which is before its commit, to the first byte at the receiver.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from crypto_checkout import encryption
from crypto_checkout.core import ids
from crypto_checkout.core.public import examples, render
from crypto_checkout.core.webhooks.endpoint import PREFIX_CHARACTERS, Endpoint
from crypto_checkout.core.webhooks.events import Event, EventType
from crypto_checkout.encryption import Cipher
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import deliveries, endpoints, events
from scripts.benchmarks._figures import cpu_seconds, print_machine
from tests.support.server import FROM_NOTHING, Server, command

SHORT_START_SECONDS, SLOW_START_SECONDS = 1.0, 7.0
AT_ONCE = 500
BETWEEN_EVENTS_SECONDS = 0.05
CONFIG = (
    '[webhooks]\nallow_private_networks = true\nretry_seconds = [1, 1, 1, 1, 1, 1, 1, 1, 1]\n[log]\nlevel = "{level}"\n'
)
SECRET = "whsec_" + "q5cVYbDvnTz0Kx2mWj8Rp4LsEg7uHfAo9iZt3yQdNkI="


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure deliveries.")
    parser.add_argument("--backlog", type=int, default=8000, help="how many deliveries wait at the start")
    parser.add_argument("--endpoints", type=int, default=1, help="how many endpoints they are for")
    parser.add_argument("--new", action="store_true", help="endpoints that never took a delivery: they begin slowly")
    parser.add_argument("--events", type=int, default=300, help="how many events are made one at a time")
    parser.add_argument("--failing", type=float, default=0, help="the percentage of attempts that the receiver refuses")
    parser.add_argument("--log-level", default="info", help="what the server logs")
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name, receiver(arguments.failing) as url:
        folder = Path(name)
        (folder / "checkout.toml").write_text(CONFIG.format(level=arguments.log_level), "utf-8")
        path = folder / "checkout-data" / "checkout.db"
        path.parent.mkdir()
        migrate(path)
        asyncio.run(fill(path, url, arguments.backlog, arguments.endpoints, is_new=arguments.new))
        made = command(
            folder, *("keys", "create", "--mode", "live", "--name", "bench", "--scope", "customers:write", "--json")
        )
        with Server(folder, under=FROM_NOTHING) as server:
            drain(server, path, url, arguments.backlog, SLOW_START_SECONDS if arguments.new else SHORT_START_SECONDS)
            latency(server, path, url, json.loads(made.stdout)["key"], arguments.events)


@contextlib.contextmanager
def receiver(failing_percent: float) -> Iterator[str]:
    """Run the receiver; yield its URL."""
    command = [sys.executable, "-m", "scripts.benchmarks._receiver", str(failing_percent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


async def fill(path: Path, url: str, backlog: int, number: int, *, is_new: bool = False) -> None:
    """Store the endpoints, and events that are pending for one of them each; one more was taken before, unless new."""
    async with await Database.open(path, lambda: datetime.now(UTC)) as db:
        made = [await db.write(lambda unit: inactive_endpoint(unit, url, db.cipher)) for _ in range(number)]
        if not is_new:
            await db.write(partial(wait, to=made))
            await db.write(lambda unit: unit.run("UPDATE deliveries SET status = 'succeeded', next_attempt_at = NULL"))
        for first in range(0, backlog, AT_ONCE):
            places = range(first, min(first + AT_ONCE, backlog))
            await db.write(partial(wait, to=[made[place % number] for place in places]))
        for each in made:
            await db.write(partial(endpoints.update, endpoint=replace(each, active=True)))


def inactive_endpoint(unit: WriteUnit, url: str, cipher: Cipher) -> Endpoint:
    endpoint_id = unit.new_id(ids.ENDPOINT)
    made = Endpoint(
        id=endpoint_id,
        livemode=True,
        url=url,
        events=(EventType.SESSION_PAID, EventType.CUSTOMER_CREATED),
        description=None,
        active=False,
        disabled_reason=None,
        secret=cipher.encrypt(SECRET, encryption.of_endpoint(endpoint_id)),
        secret_prefix=SECRET[:PREFIX_CHARACTERS],
        created_at=unit.now,
        updated_at=unit.now,
    )
    endpoints.insert(unit, made)
    return made


def wait(unit: WriteUnit, to: Sequence[Endpoint]) -> None:
    """Store an event for each of these endpoints, of the size of a paid session's, with a pending delivery."""
    session = examples.paid_session(unit.now, "https://pay.example.com", bytes(ids.ENTROPY_BYTES))
    for each in to:
        event = Event(unit.new_id(ids.EVENT), True, EventType.SESSION_PAID, unit.now, {**session, "livemode": True})
        events.insert(unit, event, session["id"], render.json_text(render.event(event)))
        deliveries.enqueue(unit, event.id, each.id)


def drain(server: Server, path: Path, url: str, backlog: int, start_seconds: float) -> None:
    """Wait for the whole backlog, and print its speed."""
    begun, started = (0, 0.0), time.monotonic()
    used = cpu_seconds(server.process.pid)
    while (number := number_of(url)) < backlog:
        if not begun[0] and time.monotonic() >= started + start_seconds:
            begun = number, cpu_seconds(server.process.pid)
        time.sleep(0.1)
    used_at_end = cpu_seconds(server.process.pid)
    times = sorted(at for _, at in received(url))
    assert len({event_id for event_id, _ in received(url)}) == backlog, "each event came"
    seconds = times[-1] - times[0]
    print(f"Backlog of {backlog:,}: delivered in {seconds:.1f} s, {backlog / seconds:,.0f} per second in all")
    full = [at for at in times if at >= times[0] + start_seconds]
    if len(full) > 1:
        print(f"At full speed: {len(full) / (full[-1] - full[0]):,.0f} per second ({len(full):,} deliveries)")
    print(f"Processor time of the server: {1000 * (used_at_end - used) / backlog:.2f} ms for each")
    if begun[0]:
        print(f"At full speed: {1000 * (used_at_end - begun[1]) / (backlog - begun[0]):.2f} ms for each")
    print(f"Memory of the server at most: {peak_mib(server.process.pid):.0f} MiB")
    asyncio.run(check(path, backlog))


async def check(path: Path, backlog: int) -> None:
    """Wait until every delivery is recorded, and print the number of attempts."""
    async with await Database.open(path, lambda: datetime.now(UTC)) as db:
        while await db.read(deliveries.count_pending):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)
        row = await db.read(lambda unit: unit.one("SELECT COUNT(*) AS found FROM delivery_attempts"))
    assert row is not None
    print(f"Recorded: {row['found']:,} attempts for {backlog:,} deliveries")


def latency(server: Server, path: Path, url: str, key: str, number: int) -> None:
    """Create events one at a time, and print the delay until each arrives."""
    api = server.client(key)
    before = number_of(url)
    for place in range(number):
        api.post("/customers", json={"email": f"{place}@example.com"}).raise_for_status()
        time.sleep(BETWEEN_EVENTS_SECONDS)
    while number_of(url) < before + number:
        time.sleep(0.1)
    made = asyncio.run(moments_of_events(path, EventType.CUSTOMER_CREATED))
    took = sorted((at - made[event_id]) * 1000 for event_id, at in received(url)[before:])
    p50, p95, p99 = (took[min(len(took) - 1, int(share * len(took)))] for share in (0.5, 0.95, 0.99))
    print(
        f"From the event to the first byte, {number} events one at a time: "
        f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, at most {took[-1]:.1f} ms"
    )


async def moments_of_events(path: Path, event_type: EventType) -> dict[str, float]:
    """Return the times of all events of a type, in Unix seconds, by ID."""
    query = "SELECT id, created_at FROM events WHERE livemode = 1 AND type = :type"
    async with await Database.open(path, lambda: datetime.now(UTC)) as db:
        rows = await db.read(lambda unit: unit.all(query, {"type": event_type}))
    return {row["id"]: datetime.fromisoformat(row["created_at"]).timestamp() for row in rows}


def number_of(url: str) -> int:
    """Return the number of deliveries received so far."""
    number: int = httpx.get(f"{url}number", trust_env=False).json()
    return number


def received(url: str) -> list[tuple[str, float]]:
    """Return the deliveries received so far: event ID, and Unix seconds of the first byte."""
    found: list[tuple[str, float]] = httpx.get(url, trust_env=False).json()
    return found


def peak_mib(pid: int) -> float:
    """Return the peak memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main()

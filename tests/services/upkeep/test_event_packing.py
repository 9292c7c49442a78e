"""The packing of events: nothing that anybody reads changes, whatever happens beside it or to it."""

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from standardwebhooks import Webhook

from crypto_checkout.core import moments
from crypto_checkout.services.upkeep.event_packing import KEPT_PLAIN, EventPacking
from crypto_checkout.services.upkeep.retention import Retention
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import bodies, deliveries, packing
from tests.support.api import LINK, PRICE, Clock, made, open_app
from tests.support.disks import small_disk
from tests.support.receiver import Receiver
from tests.support.waiting import until, wait_until

OLD = KEPT_PLAIN + timedelta(minutes=1)
KILLS = 8
MANY, MANY_KILLED = 3_000, 6_000


def later() -> datetime:
    """Return a time at which all that was recorded until now is old enough."""
    return datetime.now(UTC) + OLD


def packer(db: Database, clock: Callable[[], datetime]) -> EventPacking:
    return EventPacking(db, clock, least_pause_seconds=0, pause_for_each_second=0)


def record(unit: WriteUnit, *, at: datetime, number: int = 1, livemode: bool = False, length: int = 300) -> None:
    """Record events whose bodies say which they are."""
    for _ in range(number):
        event_id = unit.new_id("evt")
        body = json.dumps(
            {"id": event_id, "object": "event", "data": {"object": "checkout_session", "more": "x" * length}}
        )
        unit.run(
            "INSERT INTO events (id, livemode, type, resource_id, body, created_at)"
            " VALUES (:id, :livemode, 'session.created', 'cs_1', :body, :at)",
            {"id": event_id, "livemode": int(livemode), "body": body, "at": moments.to_text(at)},
        )


def stored(path: Path) -> dict[str, tuple[bool, str]]:
    """Return whether each event is packed, and its body, by its id."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT id, body, packed FROM events ORDER BY seq").fetchall()
    assert all((row["body"] == "") is (row["packed"] is not None) for row in rows), "in one of two places, never both"
    return {row["id"]: (row["packed"] is not None, bodies.read(row)) for row in rows}


def texts(path: Path) -> dict[str, str]:
    return {event_id: body for event_id, (_, body) in stored(path).items()}


def packed(path: Path) -> list[bool]:
    return [is_packed for is_packed, _ in stored(path).values()]


async def answers(api: httpx.AsyncClient, ids: list[str]) -> list[tuple[int, str | None, bytes]]:
    """Return all that the API says of events, byte by byte, with its tags."""
    paths = [f"/events/{each}" for each in ids]
    paths += ["/events?limit=100", "/events?limit=3", f"/events?limit=5&starting_after={ids[3]}"]
    paths += [
        f"/events?ending_before={ids[5]}",
        "/events?type=session.paid",
        "/events?createdAfter=2020-01-01T00:00:00Z",
    ]
    found = [await api.get(path) for path in paths]
    return [(each.status_code, each.headers.get("etag"), each.content) for each in found]


async def test_what_the_api_answers_is_the_same_to_the_byte_once_events_are_packed(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        await made(app.api, "/payment_links", LINK)
        await made(
            app.api, "/customers", {"email": "zoë@example.com", "name": "Zoë 🚀 \u2028", "metadata": {"a": "'\"\\"}}
        )
        for _ in range(2):
            session = await made(app.api, "/checkout_sessions", PRICE)
            await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={})
        await made(app.api, "/webhook_endpoints", {"url": "https://shop.example/hook", "events": ["*"]})
        database = tmp_path / "checkout.db"
        plain, ids = texts(database), list(stored(database))
        before = await answers(app.api, ids)
        one = [f"/events/{each}" for each in ids if json.loads(plain[each])["livemode"] is False]
        tags = [(path, (await app.api.get(path)).headers.get("etag")) for path in one]
        await packer(app.opened.db, later).turn()
        assert all(packed(database))
        assert texts(database) == plain
        assert await answers(app.api, ids) == before
        for path, tag in tags:
            if tag is not None:
                assert (await app.api.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_a_packed_event_is_delivered_again_with_the_same_body_and_a_good_signature(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with open_app(tmp_path) as app:
            endpoint = await made(app.api, "/webhook_endpoints", {"url": receiver.url, "events": ["customer.created"]})
            await made(app.api, "/customers", {"email": "ada@example.com"})
            path = f"/webhook_endpoints/{endpoint['id']}/deliveries"

            async def is_recorded() -> bool:
                return bool((await app.api.get(path, params={"status": "succeeded"})).json()["data"])

            await until(is_recorded, "deliver")
            await packer(app.opened.db, later).turn()
            assert all(packed(tmp_path / "checkout.db"))
            event_id = receiver.received[0].event["id"]
            replay = await app.api.post(f"/webhook_endpoints/{endpoint['id']}/replay", json={"eventId": event_id})
            assert replay.status_code == 200, replay.text
            await until(lambda: len(receiver.received) == 2, "deliver again")
            first, again = receiver.received
            assert again.body == first.body
            signature = {name: again.headers[name] for name in again.headers if name.startswith("webhook-")}
            Webhook(endpoint["secret"]).verify(again.body, signature)


async def test_young_events_stay_as_they_are_and_a_clock_that_was_ahead_stops_nothing(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock) as db:
        for age in (OLD, -timedelta(days=9), OLD, timedelta(minutes=5), OLD):
            await db.write(lambda unit, age=age: record(unit, at=clock.now - age))  # type: ignore[misc]
        await packer(db, clock).turn()
        assert packed(path) == [True, True, True, False, False], "in order, up to the first young one"
        assert await db.read(packing.count_plain) == 2
        clock.move(minutes=11)
        await packer(db, clock).turn()
        assert all(packed(path))
        assert await db.read(packing.count_plain) == 0


async def test_a_body_that_packing_makes_no_shorter_stays_and_holds_up_nothing(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock) as db:
        await db.write(lambda unit: record(unit, at=clock.now - OLD, number=70))
        await db.write(lambda unit: unit.run("UPDATE events SET body = 'é7' WHERE seq <= 65"))
        await packer(db, clock).turn()
    assert packed(path) == [False] * 65 + [True] * 5


async def test_packed_events_leave_whole_pages_for_new_ones_and_keep_their_deliveries(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock) as db:
        await db.write(lambda unit: record(unit, at=clock.now - OLD, number=500, length=2_000))
        await db.write(deliver_all)
        before = texts(path)
        used, free = pages(path)
        await packer(db, clock).turn()
        assert all(packed(path))
        now_used, now_free = pages(path)
        assert now_used == used, "the file didn't grow"
        assert now_free - free > used // 2, "most pages are free"
        assert list(texts(path).items()) == list(before.items()), "in the same order"
        await db.write(lambda unit: record(unit, at=clock.now, number=200, length=2_000))
        assert pages(path)[0] == used, "new events are written where the old ones were"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT COUNT(*) FROM events JOIN deliveries ON event_seq = events.seq").fetchone()
    assert found == (500,)


def deliver_all(unit: WriteUnit) -> None:
    unit.run(
        """
        INSERT INTO webhook_endpoints (id, livemode, url, events, active, secret, created_at, updated_at)
        VALUES ('we_1', 0, 'https://shop.example/', '["*"]', 1, '', :now, :now)
        """,
        {"now": unit.now_text},
    )
    for row in unit.all("SELECT id FROM events"):
        deliveries.enqueue(unit, row["id"], "we_1")


def pages(path: Path) -> tuple[int, int]:
    """Return the numbers of pages of a database, of all and of free ones."""
    with closing(sqlite3.connect(path)) as connection:
        count, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return count, free


async def test_other_writes_and_the_clean_up_get_their_turns_and_deleted_events_stay_deleted(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock) as db:
        await db.write(lambda unit: record(unit, at=clock.now - timedelta(days=3), number=MANY // 2))
        await db.write(lambda unit: record(unit, at=clock.now - OLD, number=MANY // 2))
        plain, newest = texts(path), MANY // 2
        work = asyncio.gather(packer(db, clock).turn(), Retention(db, event_days=1, attempt_days=0, clock=clock).turn())
        written = 0
        while not work.done():
            await db.write(lambda unit: record(unit, at=clock.now))
            written += 1
        await work
        found = stored(path)
        assert written > 10, "other writes got their turns all along"
        assert {event_id: found[event_id][1] for event_id in list(plain)[newest:]} == dict(list(plain.items())[newest:])
        assert not found.keys() & set(list(plain)[:newest])
        assert sum(is_packed for is_packed, _ in found.values()) == newest


def test_kills_lose_no_event_and_the_next_start_goes_on(tmp_path: Path) -> None:
    path, clock, dice = tmp_path / "checkout.db", Clock(), random.Random(37)
    migrate(path)

    async def fill() -> None:
        async with await Database.open(path, clock) as db:
            await db.write(lambda unit: record(unit, at=clock.now - OLD, number=MANY_KILLED))

    asyncio.run(fill())
    plain = texts(path)
    done = killed = 0
    for _ in range(KILLS):
        until = min(MANY_KILLED, done + dice.randint(1, MANY_KILLED // KILLS))
        with subprocess.Popen([sys.executable, "-m", "tests.support.event_packer", str(path)]) as process:
            wait_until(lambda until=until: place(path) >= until, "pack on")  # type: ignore[misc]
            process.kill()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        done = place(path)
        killed += done < MANY_KILLED
        assert texts(path) == plain
        assert packed(path) == [True] * done + [False] * (MANY_KILLED - done)
    assert killed > 1, "killed on its way"
    subprocess.run([sys.executable, "-m", "tests.support.event_packer", str(path)], check=True, timeout=120)
    assert texts(path) == plain
    assert all(packed(path))


async def test_nothing_is_packed_while_the_disk_is_almost_full(tmp_path: Path) -> None:
    clock = Clock()
    with small_disk(tmp_path / "disk", megabytes=80) as disk:
        path = disk.folder / "checkout.db"
        migrate(path)
        async with await Database.open(path, clock) as db:
            await db.write(lambda unit: record(unit, at=clock.now - OLD, number=100))
            disk.fill(but=20 * 1024 * 1024)
            await packer(db, clock).turn()
            assert not any(packed(path))
            disk.make_room()
            await packer(db, clock).turn()
            assert all(packed(path))


async def test_a_damaged_body_is_answered_as_damage(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        await made(app.api, "/customers", {"email": "ada@example.com"})
        await packer(app.opened.db, later).turn()
        (event_id,) = [each for each, body in texts(tmp_path / "checkout.db").items() if "customer.created" in body]
        await app.opened.db.write(
            lambda unit: unit.run("UPDATE events SET packed = x'00' WHERE id = :id", {"id": event_id})
        )
        answer = await app.api.get(f"/events/{event_id}")
        assert answer.status_code == 503, answer.text
        assert app.opened.db.faults.damage is not None


def place(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (done,) = connection.execute("SELECT done_seq FROM event_packing").fetchone()
    return int(done)

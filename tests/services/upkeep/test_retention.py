"""The clean-up: much that expired at once holds up no other write, and leaves no large log behind."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_checkout.core import moments
from crypto_checkout.core.webhooks.events import Event
from crypto_checkout.services.upkeep.retention import Retention
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import deliveries, events
from tests.support.api import LINK, Clock, error, listed, made, open_app

ROWS = 10_000
SMALL_LOG_BYTES = 16 * 1024 * 1024


def remember_many(unit: WriteUnit) -> None:
    for number in range(ROWS):
        unit.run(
            """
            INSERT INTO idempotency_keys
                (api_key_id, idempotency_key, request_sha256, status_code, body, created_at)
            VALUES ('ak_1', :key, '', 201, :body, :at)
            """,
            {"key": f"order-{number}", "body": "x" * 3_000, "at": moments.to_text(unit.now - timedelta(hours=30))},
        )


def count(unit: WriteUnit) -> int:
    row = unit.one("SELECT COUNT(*) AS number FROM idempotency_keys")
    assert row is not None
    return int(row["number"])


@pytest.mark.sqlite
async def test_many_expired_answers_go_in_parts_between_other_writes_and_the_log_shrinks(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock, serves=True) as db:
        await db.write(remember_many)
        cleaning = asyncio.create_task(Retention(db, event_days=0, attempt_days=0, clock=clock).turn())
        left = {ROWS}
        while not cleaning.done():
            left.add(await db.write(count))
        await cleaning
        assert await db.write(count) == 0
        assert len(left) > 10, "other writes got their turns all along"
        assert path.with_name("checkout.db-wal").stat().st_size <= SMALL_LOG_BYTES


async def test_old_events_are_forgotten_but_for_those_still_to_be_delivered_and_the_newest(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock) as db:
        ids = await db.write(record_events)
        clock.move(days=31)
        retention = Retention(db, event_days=30, attempt_days=0, clock=clock)
        await retention.turn()
        assert await db.read(known) == {ids["waiting"], ids["newest"], ids["newest of test mode"]}
        assert await db.read(events.newest_at) == clock.now - timedelta(days=31)
        await db.write(lambda unit: unit.run("UPDATE deliveries SET status = 'abandoned'"))
        await retention.turn()
        assert await db.read(known) == {ids["newest"], ids["newest of test mode"]}
        assert await db.read(deliveries.count_pending) == 0


async def test_a_clock_that_is_ahead_of_the_chains_deletes_nothing_too_early(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock) as db:
        ids = await db.write(record_events)
        await db.write(lambda unit: cursors.move(unit, 7, Cursor(1, "0x01", clock.now)))
        retention = Retention(db, event_days=30, attempt_days=0, clock=clock, chain_ids=[7, 8])
        clock.move(days=365)
        await retention.turn()
        assert await db.read(known) == {*ids.values()}
        await db.write(lambda unit: cursors.move(unit, 7, Cursor(2, "0x02", clock.now - timedelta(days=300))))
        await retention.turn()
        assert await db.read(known) == {ids["waiting"], ids["newest"], ids["newest of test mode"]}


async def test_a_reader_goes_on_after_what_was_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        retention = Retention(app.opened.db, event_days=30, attempt_days=0, clock=clock)
        first = await made(app.api, "/payment_links", LINK)
        (event,) = (await listed(app.api, "/events", resourceId=first["id"]))["data"]
        await made(app.api, "/payment_links", LINK)
        cursor = (await listed(app.api, "/events", ending_before=event["id"]))["nextCursor"]
        clock.move(days=31)
        for _ in range(2):
            link = await made(app.api, "/payment_links", LINK)
            await retention.turn()
            page = await listed(app.api, "/events", ending_before=cursor)
            assert [each["data"]["id"] for each in page["data"]] == [link["id"]]
            cursor = page["nextCursor"]
        assert (await app.api.get(f"/events/{event['id']}")).status_code == 404
        refused = await app.api.get("/events", params={"ending_before": event["id"]})
        assert (refused.status_code, error(refused)["code"]) == (400, "invalid_cursor")


def record_events(unit: WriteUnit) -> dict[str, str]:
    """Record events of both modes, one of them with a delivery that waits; return their ids by what they are."""
    unit.run(
        """
        INSERT INTO webhook_endpoints (id, livemode, url, events, active, secret, created_at, updated_at)
        VALUES ('we_1', 1, 'https://shop.example/', '["*"]', 1, '', :now, :now)
        """,
        {"now": unit.now_text},
    )
    ids = {}
    for name in ("delivered", "waiting", "old", "newest", "old one of test mode", "newest of test mode"):
        event = Event(unit.new_id("evt"), "test" not in name, "session.paid", unit.now, {})
        events.insert(unit, event, "cs_1", "{}")
        if name in {"delivered", "waiting"}:
            deliveries.enqueue(unit, event.id, "we_1")
        if name == "delivered":
            unit.run("UPDATE deliveries SET status = 'succeeded', next_attempt_at = NULL")
        ids[name] = event.id
    return ids


def known(unit: ReadUnit) -> set[str]:
    return {row["id"] for row in unit.all("SELECT id FROM events")}

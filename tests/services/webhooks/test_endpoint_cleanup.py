"""The backlog of an endpoint that is disabled or deleted is cleared in parts, and to the end, whatever comes."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.webhooks.endpoint import Endpoint
from crypto_checkout.services.webhooks.endpoint_cleanup import EndpointCleanup
from crypto_checkout.store import paging
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import deliveries, endpoint_cleanup, endpoints, replays
from tests.support.server import Server

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHOP = "we_shop"
PART = endpoint_cleanup.PART
WAITING = 3 * PART + 7
MANY = 40 * PART

EVENTS = """
    WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < :count)
    INSERT INTO events (id, livemode, type, resource_id, body, created_at)
    SELECT 'evt_made_' || number, 0, 'customer.created', 'cus_1', '{}', :now FROM numbers
"""
DELIVERIES = """
    INSERT INTO deliveries (event_seq, endpoint_id, status, next_attempt_at, created_at, updated_at)
    SELECT seq, :endpoint_id, 'pending', :later, :now, :now FROM events WHERE id LIKE 'evt_made_%'
"""
TIMES = {"now": "2026-11-23T12:00:00.000Z", "later": "2030-01-01T00:00:00.000Z"}


def endpoint_called(endpoint_id: str, *, active: bool = True) -> Endpoint:
    return Endpoint(
        endpoint_id, False, "https://shop.example/", ("*",), None, active, None, "whsec_1", "whsec_1", NOW, NOW
    )


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database with one endpoint that much waits for, and another."""
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", lambda: NOW) as opened:

        def fill(unit: WriteUnit) -> None:
            unit.run(EVENTS, {"count": WAITING, "now": TIMES["now"]})
            for endpoint_id in (SHOP, "we_other"):
                endpoints.insert(unit, endpoint_called(endpoint_id))
                unit.run(DELIVERIES, {"endpoint_id": endpoint_id, **TIMES})

        await opened.write(fill)
        yield opened


async def counted(db: Database, endpoint_id: str = SHOP) -> dict[str, int]:
    """Return how many deliveries to an endpoint there are of each status."""
    sql = "SELECT status, COUNT(*) AS found FROM deliveries WHERE endpoint_id = :id GROUP BY status"
    rows = await db.read(lambda unit: unit.all(sql, {"id": endpoint_id}))
    return {row["status"]: row["found"] for row in rows}


def switch(unit: WriteUnit, *, on: bool) -> None:
    endpoints.update(unit, endpoint_called(SHOP, active=on))
    if not on:
        endpoint_cleanup.give_up_waiting(unit, SHOP)


async def test_no_write_gives_up_more_than_a_part(db: Database) -> None:
    await db.write(lambda unit: switch(unit, on=False))
    assert await counted(db) == {"pending": WAITING - PART, "abandoned": PART}
    assert await db.write(lambda unit: endpoint_cleanup.clear(unit, SHOP))
    assert await counted(db) == {"pending": WAITING - 2 * PART, "abandoned": 2 * PART}
    await EndpointCleanup(db).turn()
    assert await counted(db) == {"abandoned": WAITING}
    assert await counted(db, "we_other") == {"pending": WAITING}
    assert await db.read(endpoint_cleanup.unfinished) == []


async def test_no_write_deletes_more_than_a_part_and_nothing_shows_a_deleted_endpoint(db: Database) -> None:
    await db.write(lambda unit: endpoint_cleanup.delete(unit, SHOP))
    assert await counted(db) == {"pending": WAITING - PART}
    shown: list[Any] = await db.read(
        lambda unit: [
            endpoints.get(unit, SHOP),
            *(each for each in endpoints.all_of(unit, livemode=False) if each.id == SHOP),
            *(each for each in endpoints.active(unit, livemode=False) if each.id == SHOP),
            *(each for each in endpoints.listed(unit, False, paging.Window(10)).items if each.id == SHOP),
            endpoints.count(unit, livemode=False),
            *deliveries.targets(unit, livemode=False),
        ]
    )
    assert shown == [None, 1, "we_other"]
    await EndpointCleanup(db).turn()
    assert await counted(db) == {}
    assert await counted(db, "we_other") == {"pending": WAITING}
    rows = await db.read(lambda unit: unit.all("SELECT id FROM webhook_endpoints"))
    assert [row["id"] for row in rows] == ["we_other"]


async def test_switched_on_at_once_it_is_sent_what_is_new_once_the_old_is_given_up(db: Database) -> None:
    await db.write(lambda unit: switch(unit, on=False))
    await db.write(lambda unit: switch(unit, on=True))
    assert await db.read(lambda unit: deliveries.targets(unit, livemode=False)) == ["we_other"]

    def happen(unit: WriteUnit) -> None:
        unit.run(
            """
            INSERT INTO events (id, livemode, type, resource_id, body, created_at)
            VALUES ('evt_new', 0, 'customer.created', 'cus_1', '{}', :now)
            """,
            {"now": TIMES["now"]},
        )
        deliveries.enqueue(unit, "evt_new", SHOP)

    await db.write(happen)
    await EndpointCleanup(db).turn()
    assert await counted(db) == {"pending": 1, "abandoned": WAITING}
    assert SHOP in await db.read(lambda unit: deliveries.targets(unit, livemode=False))


async def test_what_a_replay_brings_back_is_not_given_up_again(db: Database) -> None:
    await db.write(lambda unit: switch(unit, on=False))
    queued = await db.write(lambda unit: replays.replay_since(unit, SHOP, False, None, NOW))
    assert queued == (WAITING, False)
    await EndpointCleanup(db).turn()
    assert await counted(db) == {"pending": WAITING}


async def test_it_missed_what_waits_before_that_is_given_up(db: Database) -> None:
    assert await db.read(lambda unit: endpoint_cleanup.first_missed_at(unit, SHOP, NOW)) == NOW
    await db.write(lambda unit: switch(unit, on=False))
    await EndpointCleanup(db).turn()
    assert await db.read(lambda unit: endpoint_cleanup.first_missed_at(unit, SHOP, NOW)) == NOW
    assert await db.read(lambda unit: endpoint_cleanup.first_missed_at(unit, "we_nobody", NOW)) is None


def statuses(folder: Path, endpoint_id: str) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "checkout-data" / "checkout.db")) as connection:
        sql = "SELECT status, COUNT(*) FROM deliveries WHERE endpoint_id = ? GROUP BY status"
        return dict(connection.execute(sql, (endpoint_id,)).fetchall())


@pytest.mark.parametrize("how", ["switched off", "deleted"])
def test_a_kill_in_the_middle_leaves_nothing_uncleared(tmp_path: Path, how: str) -> None:
    with Server(tmp_path) as server:
        key = server.key
        body = {"url": "https://shop.example/", "events": ["payment_link.created"]}
        endpoint_id = server.api.post("/webhook_endpoints", json=body).raise_for_status().json()["id"]
    with closing(sqlite3.connect(tmp_path / "checkout-data" / "checkout.db")) as connection, connection:
        connection.execute(EVENTS, {"count": MANY, "now": TIMES["now"]})
        connection.execute(DELIVERIES, {"endpoint_id": endpoint_id, **TIMES})
    with Server(tmp_path) as server:
        path = f"/webhook_endpoints/{endpoint_id}"
        api = server.client(key)
        answer = api.delete(path) if how == "deleted" else api.patch(path, json={"active": False})
        server.kill()  # with most of it still to come, or on a very busy machine with some
        assert answer.is_success
    with Server(tmp_path) as server:
        server.wait_until(lambda: not statuses(tmp_path, endpoint_id).get("pending"), "clear what is left")
        expected = {} if how == "deleted" else {"abandoned": MANY}
        assert statuses(tmp_path, endpoint_id) == expected
        assert server.client(key).get(path).status_code == (404 if how == "deleted" else 200)

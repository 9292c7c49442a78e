"""Answers, sums and rows that units of one transaction share."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.errors import DatabaseFailed, ResourceNotFound
from crypto_checkout.store import group_commit
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import deliveries
from tests.support.sqlite import on_writers_thread

LABEL = "SELECT label FROM wallets WHERE wallet_id = :wallet_id"


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, lambda: datetime.now(UTC)) as opened:
        await opened.write(
            lambda unit: unit.put("INSERT INTO wallets (wallet_id, next_index, label) VALUES ('w', 0, 'old')")
        )
        yield opened


def label(unit: ReadUnit) -> Any:
    (row,) = unit.lookup(LABEL, {"wallet_id": "w"}, table="wallets")
    return row["label"]


def older_label(unit: ReadUnit) -> Any:
    (row,) = unit.lookup(LABEL, {"wallet_id": "w"}, table=None)
    return row["label"]


def rename(unit: WriteUnit) -> str:
    unit.run("UPDATE wallets SET label = 'new'")
    return "renamed"


def fail(unit: WriteUnit) -> None:
    unit.run("UPDATE wallets SET label = 'undone'")
    assert label(unit) == "undone"
    raise RuntimeError("no")


@pytest.mark.parametrize("quick", [True, False])
async def test_a_change_by_another_unit_is_seen(db: Database, quick: bool) -> None:
    works: list[Any] = [label, rename, label]
    assert await asyncio.gather(*(db.write(each, quick=quick) for each in works)) == ["old", "renamed", "new"]


@pytest.mark.parametrize("quick", [True, False])
async def test_what_an_undone_unit_saw_is_forgotten(db: Database, quick: bool) -> None:
    works: list[Any] = [fail, label]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in works), return_exceptions=True)
    assert outcomes[1] == "old"


async def test_where_it_may_be_older_the_transaction_asks_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_MOST_SECONDS", 60.0)  # one transaction, on a slow machine too
    works: list[Any] = [older_label, rename, older_label]
    outcomes = await asyncio.gather(*(db.write(each, quick=True) for each in works))
    assert outcomes == ["old", "renamed", "old"]
    assert await db.write(older_label, quick=True) == "new"


async def test_a_read_sees_what_was_committed_before_it(db: Database) -> None:
    assert await db.read(label, quick=True) == "old"
    await db.write(rename, quick=True)
    assert await asyncio.gather(*(db.read(label, quick=True) for _ in range(3))) == ["new"] * 3


def taking(unit: WriteUnit) -> int:
    return wallets.take_index(unit, "w")


def taking_and_failing(unit: WriteUnit) -> None:
    taking(unit)
    raise RuntimeError("no")


def moving_on(unit: WriteUnit) -> None:
    wallets.move_past(unit, "w", 9)


@pytest.mark.parametrize("quick", [True, False])
async def test_units_of_one_transaction_take_one_index_after_the_other(db: Database, quick: bool) -> None:
    works: list[Any] = [taking, taking, taking_and_failing, taking, moving_on, taking, taking]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in works), return_exceptions=True)
    assert [each for each in outcomes if isinstance(each, int)] == [0, 1, 2, 10, 11]
    assert await db.read(lambda unit: wallets.next_index(unit, "w")) == 12


async def test_an_index_that_is_not_the_next_one_is_refused(db: Database) -> None:
    def misled(unit: WriteUnit) -> int:
        unit.looked_up(wallets._NEXT_INDEX, {"wallet_id": "w"}, [(7,)], table="wallets")
        return taking(unit)

    with pytest.raises(Exception, match=r"(?i)null"):
        await db.write(misled)
    assert await db.write(taking) == 0


def add_one(unit: WriteUnit, day: str = "2026-12-02") -> None:
    unit.put_sum(
        """
        INSERT INTO daily_sessions (livemode, day, created, paid) VALUES (0, :day, :number, 0)
        ON CONFLICT (livemode, day) DO UPDATE SET created = daily_sessions.created + :number
        """,
        {"day": day},
        table="daily_sessions",
    )


def created(unit: ReadUnit) -> list[int]:
    return [row["created"] for row in unit.all("SELECT created FROM daily_sessions ORDER BY day")]


def add_one_and_fail(unit: WriteUnit) -> None:
    add_one(unit)
    raise ResourceNotFound("it has added one before")


def refuse(_: WriteUnit) -> None:
    raise ResourceNotFound("it has changed nothing")


@pytest.mark.parametrize("quick", [True, False])
async def test_sums_are_read_as_if_each_had_been_stored_at_once(db: Database, quick: bool) -> None:
    works: list[Any] = [add_one, add_one, created, add_one, lambda unit: add_one(unit, "2026-12-03"), add_one, created]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in works))
    assert [outcomes[2], outcomes[6]] == [[2], [4, 1]]
    assert await db.read(created) == [4, 1]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("failing", [add_one_and_fail, refuse])
async def test_what_an_undone_unit_added_is_not_in_the_sum(db: Database, quick: bool, failing: Any) -> None:
    works: list[Any] = [add_one, failing, add_one]
    await asyncio.gather(*(db.write(each, quick=quick) for each in works), return_exceptions=True)
    assert await db.read(created) == [2]


def put_event(unit: WriteUnit, name: str, livemode: int = 0) -> None:
    unit.put_row(
        "INSERT INTO events (id, livemode, type, resource_id, body, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (name, livemode, "session.paid", "cs_1", "", unit.now_text),
        table="events",
    )


def note(name: str) -> Any:
    """Return a unit that puts an event, and a delivery that refers to it."""

    def put(unit: WriteUnit) -> None:
        put_event(unit, name)
        deliveries.enqueue(unit, name, "we_1")

    return put


def deliver(name: str) -> Any:
    return lambda unit: deliveries.enqueue(unit, name, "we_1")


def put_endpoint(unit: WriteUnit) -> None:
    unit.put(
        """
        INSERT INTO webhook_endpoints (id, livemode, url, events, active, secret, created_at, updated_at)
        VALUES ('we_1', 0, 'https://example.com', '[]', 1, 's', :now, :now)
        """,
        {"now": unit.now_text},
    )


def delivered(unit: ReadUnit) -> list[str]:
    rows = unit.all("SELECT events.id FROM deliveries JOIN events ON events.seq = event_seq ORDER BY deliveries.seq")
    return [row["id"] for row in rows]


@pytest.mark.parametrize("quick", [True, False])
async def test_rows_are_read_as_if_each_had_been_stored_at_once(db: Database, quick: bool) -> None:
    await db.write(put_endpoint)
    works: list[Any] = [note("evt_1"), note("evt_2"), delivered, note("evt_3"), delivered]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in works))
    assert [outcomes[2], outcomes[4]] == [["evt_1", "evt_2"], ["evt_1", "evt_2", "evt_3"]]
    assert await db.read(delivered) == ["evt_1", "evt_2", "evt_3"]


@pytest.mark.parametrize("quick", [True, False])
async def test_a_row_is_stored_after_those_that_it_refers_to_whichever_was_put_first(db: Database, quick: bool) -> None:
    await db.write(put_endpoint)
    await db.write(lambda unit: put_event(unit, "evt_0"))
    works: list[Any] = [deliver("evt_0"), note("evt_1"), note("evt_2")]
    await asyncio.gather(*(db.write(each, quick=quick) for each in works))
    assert sorted(await db.read(delivered)) == ["evt_0", "evt_1", "evt_2"]


@pytest.mark.parametrize("quick", [True, False])
async def test_a_row_that_breaks_a_constraint_fails_the_unit_that_put_it_alone(db: Database, quick: bool) -> None:
    await db.write(put_endpoint)
    works: list[Any] = [note("evt_1"), note("evt_2"), note("evt_1"), note("evt_3")]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in works), return_exceptions=True)
    assert [outcome is None for outcome in outcomes] == [True, True, False, True]
    assert await db.read(delivered) == ["evt_1", "evt_2", "evt_3"]


@pytest.mark.parametrize("quick", [True, False])
async def test_a_unit_that_ignores_the_error_of_another_ones_row_takes_no_row_along(db: Database, quick: bool) -> None:
    def put(name: str) -> Any:
        return lambda unit: put_event(unit, name)

    def stored(unit: ReadUnit) -> list[str]:
        return [row["id"] for row in unit.all("SELECT id FROM events ORDER BY seq")]

    def ignoring(unit: WriteUnit) -> None:
        with suppress(sqlite3.Error, DatabaseFailed):
            stored(unit)

    works: list[Any] = [put("evt_1"), put("evt_1"), put("evt_2"), ignoring, put("evt_3")]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in works), return_exceptions=True)
    assert [outcome is None for outcome in outcomes] == [True, False, True, True, True]
    assert await db.read(stored) == ["evt_1", "evt_2", "evt_3"]


@pytest.mark.parametrize("quick", [True, False])
async def test_a_row_that_an_undone_unit_put_is_not_stored(db: Database, quick: bool) -> None:
    def put_and_fail(unit: WriteUnit) -> None:
        note("evt_2")(unit)
        raise ResourceNotFound("it has put one before")

    await db.write(put_endpoint)
    works: list[Any] = [note("evt_1"), put_and_fail, note("evt_3")]
    await asyncio.gather(*(db.write(each, quick=quick) for each in works), return_exceptions=True)
    assert await db.read(delivered) == ["evt_1", "evt_3"]


def putting(names: list[str]) -> Any:
    def put(unit: WriteUnit) -> None:
        for name in names:
            put_event(unit, name)

    return put


@pytest.mark.sqlite
@pytest.mark.parametrize(("rows", "by"), [(1, 1), (5, 2), (64, 1), (150, 5)])
async def test_rows_that_units_put_are_inserted_several_at_once_and_in_order(
    db: Database, monkeypatch: pytest.MonkeyPatch, rows: int, by: int
) -> None:
    monkeypatch.setattr(group_commit, "_MOST_SECONDS", 60.0)
    statements: list[str] = []
    names = [f"evt_{number}" for number in range(rows)]
    await on_writers_thread(db, lambda raw: raw.set_trace_callback(statements.append))
    units = [putting(names[n::50]) for n in range(50)]
    await asyncio.gather(*(db.write(unit, quick=True) for unit in units))
    assert sum(each.startswith("INSERT INTO events") for each in statements) == by
    stored = await db.read(lambda unit: [row["id"] for row in unit.all("SELECT id FROM events ORDER BY seq")])
    assert stored == [name for n in range(50) for name in names[n::50]]


def random_unit(dice: random.Random, wrongs: float) -> Callable[[WriteUnit], list[Any]]:
    """Return a unit of a few steps, some of which break a constraint, and which returns what it has read."""
    steps: list[Callable[[WriteUnit], Any]] = []
    for _ in range(dice.randint(1, 6)):
        name = f"evt_{dice.randrange(12 if dice.random() < wrongs else 1_000_000)}"
        livemode, endpoint_id = (2, "we_none") if dice.random() < wrongs / 10 else (0, "we_1")
        steps.append(
            dice.choices(
                [
                    lambda unit, name=name, livemode=livemode: put_event(unit, name, livemode),
                    lambda unit, name=name, to=endpoint_id: deliveries.enqueue(unit, name, to),
                    taking,
                    add_one,
                    delivered,
                    created,
                    lambda unit, name=name: unit.run("DELETE FROM events WHERE id = :id", {"id": name}),
                    lambda unit: unit.run("DELETE FROM webhook_endpoints"),
                    put_endpoint,
                    refuse,
                    note(name),
                ],
                [6, 4, 6, 4, 2, 2, 2, 3 * wrongs, 5 * wrongs, wrongs, 12],
            )[0]
        )
    return lambda unit: [step(unit) for step in steps]


def everything(unit: ReadUnit) -> list[list[tuple[Any, ...]]]:
    questions = (
        "SELECT seq, id FROM events ORDER BY seq",
        "SELECT seq, event_seq, endpoint_id FROM deliveries ORDER BY seq",
        "SELECT next_index FROM wallets",
        "SELECT day, created FROM daily_sessions",
    )
    return [[tuple(row) for row in unit.all(sql)] for sql in questions]


@pytest.mark.sqlite
@pytest.mark.parametrize("seed", range(40))
async def test_units_that_share_a_transaction_do_what_they_would_do_one_by_one(
    db: Database, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    wrongs = dice.choice([0, 0.02, 0.3])
    works = [random_unit(dice, wrongs) for _ in range(dice.randint(2, 64))]
    (tmp_path / "alone").mkdir()
    migrate(tmp_path / "alone" / "checkout.db")
    async with await Database.open(tmp_path / "alone" / "checkout.db", lambda: datetime.now(UTC)) as alone:
        await alone.write(
            lambda unit: unit.put("INSERT INTO wallets (wallet_id, next_index, label) VALUES ('w', 0, 'old')")
        )
        outcomes = {}
        for each in (db, alone):
            await each.write(put_endpoint)
            writes = [each.write(work, quick=each is db) for work in works]
            if each is db:
                outcomes[each] = await asyncio.gather(*writes, return_exceptions=True)
            else:
                outcomes[each] = [(await asyncio.gather(write, return_exceptions=True))[0] for write in writes]
        shown = [[one if isinstance(one, list) else type(one) for one in each] for each in outcomes.values()]
        assert shown[0] == shown[1]
        assert await db.read(everything) == await alone.read(everything)

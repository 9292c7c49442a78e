"""The dispatcher, beside a database that is slow to take records or refuses some, and at an endpoint that is fast."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout import encryption
from crypto_checkout.core.webhooks.endpoint import Endpoint
from crypto_checkout.services.webhooks.dispatcher import Dispatcher
from crypto_checkout.services.webhooks.endpoints import Endpoints as EndpointService
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.services.webhooks.pace import Pace
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import deliveries, endpoints
from crypto_checkout.webhooks.networks import Reach
from crypto_checkout.webhooks.send import AttemptOutcome
from tests.support.waiting import until

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHOP = "we_shop"
SECRET = "whsec_" + "q5cVYbDvnTz0Kx2mWj8Rp4LsEg7uHfAo9iZt3yQdNkI="
WAITING = 12
CONCURRENCY = 4
UNSTORABLE = "\ud800"  # SQLite takes no lone surrogate


class Endpoints:
    """Sends nothing: every endpoint accepts at once, and answers the events in `garbled` with what can't be stored."""

    def __init__(self, *garbled: str) -> None:
        self.sent: list[str] = []
        self.urls: set[str] = set()
        self.garbled = set(garbled)
        self.answer = asyncio.Event()
        self.answer.set()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptOutcome:
        """Accept a delivery."""
        del body
        self.urls.add(url)
        event_id = headers["webhook-id"]
        self.sent.append(event_id)
        await self.answer.wait()
        excerpt = UNSTORABLE if event_id in self.garbled else "ok"
        return AttemptOutcome(200, None, None, 1, excerpt, None)


def endpoint(secret: str) -> Endpoint:
    return Endpoint(SHOP, False, "https://shop.example/", ("*",), None, True, None, secret, "whsec_1", NOW, NOW)


def fill(unit: WriteUnit, secret: str) -> None:
    """Store an endpoint, and deliveries to it that are due."""
    endpoints.insert(unit, endpoint(secret))
    for number in range(WAITING):
        unit.put(
            """
            INSERT INTO events (id, livemode, type, resource_id, body, created_at)
            VALUES (:id, 0, 'customer.created', 'cus_1', '{}', :now)
            """,
            {"id": f"evt_{number}", "now": unit.now_text},
        )
        deliveries.enqueue(unit, f"evt_{number}", SHOP)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", lambda: NOW) as opened:
        secret = opened.cipher.encrypt(SECRET, encryption.of_endpoint(SHOP))
        await opened.write(lambda unit: fill(unit, secret))
        yield opened


@asynccontextmanager
async def dispatching(db: Database, sender: Endpoints) -> AsyncIterator[None]:
    """Deliver meanwhile."""
    async with running(make_dispatcher(db, sender)):
        yield


def make_dispatcher(db: Database, sender: Endpoints) -> Dispatcher:
    return Dispatcher(
        db,
        sender,
        Outbox(),
        asyncio.Event(),
        livemode=False,
        retry_seconds=[60],
        concurrency=CONCURRENCY,
        clock=lambda: NOW,
    )


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Run it meanwhile."""
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def recorded(db: Database) -> list[str]:
    """Return the events whose deliveries are recorded as accepted."""
    rows = await db.read(
        lambda unit: unit.all(
            """
            SELECT events.id FROM deliveries
            JOIN events ON events.seq = deliveries.event_seq
            JOIN delivery_attempts ON delivery_attempts.delivery_seq = deliveries.seq
            WHERE deliveries.status = 'succeeded' AND attempts = 1 AND number = 1
            ORDER BY events.seq
            """
        )
    )
    return [row["id"] for row in rows]


async def test_an_endpoint_gets_the_next_while_the_last_one_waits_for_its_record_and_no_more_than_fit(
    db: Database, tmp_path: Path
) -> None:
    sender = Endpoints()
    with closing(sqlite3.connect(tmp_path / "checkout.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with dispatching(db, sender):
            await until(lambda: len(sender.sent) >= CONCURRENCY + 1, "start what fits")
            assert await recorded(db) == []
            assert len(sender.sent) == CONCURRENCY + 1, "a kill now repeats no more than these"
            other.execute("ROLLBACK")

            async def is_done() -> bool:
                return len(await recorded(db)) == WAITING

            await until(is_done, "record all")
    assert sender.sent == [f"evt_{number}" for number in range(WAITING)], "each once, in their order"


async def test_an_attempt_that_can_not_be_recorded_keeps_no_other_from_it(db: Database, tmp_path: Path) -> None:
    sender = Endpoints("evt_1")
    with closing(sqlite3.connect(tmp_path / "checkout.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that several end before the next record
        async with dispatching(db, sender):
            await until(lambda: len(sender.sent) >= CONCURRENCY + 1, "start what fits")
            other.execute("ROLLBACK")

            async def is_done() -> bool:
                return len(await recorded(db)) == WAITING - 1

            await until(is_done, "record the others")
    assert [each for each in sender.sent if each != "evt_1"] == await recorded(db)


async def test_what_was_accepted_before_the_end_is_recorded_and_not_sent_again(db: Database) -> None:
    """Beside an endpoint that is about to answer, too."""
    sender = Endpoints()
    dispatcher = make_dispatcher(db, sender)
    is_held, go_on = threading.Event(), threading.Event()

    def hold(_: WriteUnit) -> None:
        is_held.set()
        assert go_on.wait(10)

    holding = asyncio.create_task(db.write(hold))
    await until(is_held.is_set, "hold the writer")
    async with running(dispatcher):
        await until(lambda: len(sender.sent) > 2, "send some")
        sender.answer.clear()
        await until(lambda: len(sender.sent) == CONCURRENCY, "send another")
        for at_the_end in (sender.answer, go_on):
            asyncio.get_running_loop().call_later(0.1, at_the_end.set)
    await holding
    assert len(sender.sent) == CONCURRENCY
    assert await recorded(db) == sender.sent


async def test_what_was_under_way_when_it_ended_is_sent_when_it_runs_again(db: Database) -> None:
    """A process may lead several times."""
    sender = Endpoints()
    dispatcher = make_dispatcher(db, sender)
    sender.answer.clear()
    async with running(dispatcher):
        await until(lambda: sender.sent, "start one")
    sender.answer.set()
    async with running(dispatcher):

        async def is_done() -> bool:
            return len(await recorded(db)) == WAITING

        await until(is_done, "record all")


@pytest.fixture
def full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the endpoint be at full speed from the start."""

    def make(most: int, now: float, *, answered_lately: bool) -> Pace:
        made = Pace(most, now, answered_lately=answered_lately)
        made._set(None, now)
        return made

    monkeypatch.setattr("crypto_checkout.services.webhooks.dispatcher.Pace", make)


@pytest.mark.usefixtures("full_speed")
async def test_a_turn_reads_ahead_for_the_slots_that_become_free(db: Database) -> None:
    sender, turns = Endpoints(), 0
    dispatcher = make_dispatcher(db, sender)

    async def turn(take: Callable[[], Awaitable[float]] = dispatcher.turn) -> float:
        nonlocal turns
        turns += 1
        return await take()

    dispatcher.turn = turn  # type: ignore[method-assign]
    async with running(dispatcher):

        async def is_done() -> bool:
            return len(await recorded(db)) == WAITING

        await until(is_done, "record all")
    assert turns == 2, "one that finds the endpoint, and one that reads all its deliveries"
    assert sender.sent == [f"evt_{number}" for number in range(WAITING)]


@pytest.mark.usefixtures("full_speed")
async def test_what_was_read_ahead_is_not_sent_where_the_endpoint_was_before(db: Database) -> None:
    sender = Endpoints()
    dispatcher = make_dispatcher(db, sender)
    events = Outbox(lambda _: dispatcher._woken.set())
    services = EndpointService(db, events, reach=Reach.PUBLIC)
    sender.answer.clear()
    async with running(dispatcher):
        await until(lambda: sender.sent, "start one")
        assert dispatcher._ahead
        await db.write(services.update(False, SHOP, {"url": "https://other.example/"}))
        sender.urls.clear()
        sender.answer.set()

        async def is_done() -> bool:
            return len(await recorded(db)) >= WAITING

        await until(is_done, "record all")
    assert sender.urls == {"https://other.example/"}


@pytest.mark.parametrize(
    ("ago", "status", "failing", "is_lately"),
    [
        (timedelta(minutes=59), "succeeded", False, True),
        (timedelta(minutes=61), "succeeded", False, False),
        (timedelta(minutes=1), "succeeded", True, False),
        (timedelta(minutes=1), "abandoned", False, False),
    ],
)
async def test_an_endpoint_answered_lately_if_it_accepted_a_delivery_and_failed_none_since(
    db: Database, ago: timedelta, status: str, *, failing: bool, is_lately: bool
) -> None:
    def set_up(unit: WriteUnit) -> bool:
        at = (NOW - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        unit.run(
            "UPDATE deliveries SET status = :status, updated_at = :at, next_attempt_at = NULL WHERE seq = 3",
            {"status": status, "at": at},
        )
        unit.run("UPDATE webhook_endpoints SET failing_since = :since", {"since": at if failing else None})
        return deliveries.answered_since(unit, SHOP, NOW - timedelta(hours=1))

    assert await db.write(set_up) is is_lately


async def test_what_was_put_off_in_one_term_changes_nothing_in_the_next(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    call_later = loop.call_later

    def noted(seconds: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
        timers.append(call_later(seconds, callback, *arguments))
        return timers[-1]

    sender = Endpoints()
    dispatcher = make_dispatcher(db, sender)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_later", noted)
        patch.setattr(dispatcher, "_signer_of", lambda _: 1 // 0)
        async with running(dispatcher):
            await until(lambda: timers, "put off what can't be signed")
    sender.answer.clear()
    async with running(dispatcher):
        await until(lambda: sender.sent, "send it in the next term")
        for each in timers:
            if not each.cancelled():
                each._run()
        await dispatcher.turn()
        await asyncio.sleep(0)
        assert sender.sent.count("evt_0") == 1, "it is under way"
        sender.answer.set()
        await until(lambda: len(sender.sent) >= WAITING, "send the others")
    assert len(set(sender.sent)) == len(sender.sent) == WAITING

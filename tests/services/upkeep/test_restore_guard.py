"""A database that is restored to an earlier state under a running server, as a PostgreSQL server's can be."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_checkout.core import moments
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.owner import api_keys
from crypto_checkout.services.upkeep.restore_guard import RestoreGuard
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.data_folder import life, restore_guard
from crypto_checkout.store.data_folder.restore_guard import LastNumbers
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.moving import folders
from crypto_checkout.store.upkeep import leader
from crypto_checkout.store.upkeep import restore_guard as store
from tests.support import server

EVENT = """
    INSERT INTO events (id, livemode, type, resource_id, body, created_at)
    VALUES (?, 0, 'session.paid', '', '', '2026-01-01T00:00:00.000000Z')
"""
NUMBER_ON = "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'events'"
NUMBER_ON_OF_A_SERVER = "SELECT setval(pg_get_serial_sequence('events', 'seq'), 2)"
ENTRY = """
    INSERT INTO audit (at, actor, action, detail)
    VALUES ('2026-01-01T00:00:00.000000Z', 'owner', :action, '')
"""


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", lambda: datetime.now(UTC)) as opened:
        await opened.write(lambda unit: life.begin(unit, "life"))
        yield opened


def record(unit: WriteUnit) -> int:
    return unit.insert(EVENT, (unit.new_id("evt_"),))


def logins(unit: ReadUnit) -> int:
    return len(unit.all("SELECT 1 FROM logins"))


def log_in(unit: WriteUnit) -> None:
    unit.run(
        """
        INSERT INTO logins (id, sha256, address, user_agent, created_at, seen_at, confirmed_at)
        VALUES ('login', '', '', '', '', '', '')
        """
    )


async def test_it_is_made_safe_at_once_and_its_numbers_never_come_again(db: Database, tmp_path: Path) -> None:
    guard = RestoreGuard(db, tmp_path, Outbox())
    await guard.apply(is_led=True)
    last = [await db.write(record) for _ in range(5)][-1]
    await db.write(log_in)
    await guard.turn()

    def restore(unit: WriteUnit) -> None:
        unit.run("DELETE FROM events WHERE seq > 2")
        unit.run(NUMBER_ON if server.url_in_place_of is None else NUMBER_ON_OF_A_SERVER)

    await db.write(restore)
    await guard.turn()
    assert await db.read(logins) == 0
    assert await db.write(record) > last

    await db.write(log_in)
    await guard.turn()
    await guard.turn()
    assert await db.read(logins) == 1


async def test_a_trail_whose_newest_entries_were_forgotten_ends_no_login(db: Database, tmp_path: Path) -> None:
    guard = RestoreGuard(db, tmp_path, Outbox())
    for each in ("kept", "forgotten"):
        await db.write(lambda unit, each=each: unit.run(ENTRY, {"action": each}))  # type: ignore[misc]
    await db.write(log_in)
    await guard.turn()
    await db.write(lambda unit: unit.run("DELETE FROM audit WHERE action = 'forgotten'"))
    await guard.turn()
    assert await db.read(logins) == 1
    noted = restore_guard.last_numbers(tmp_path)
    assert noted is not None
    assert noted.audit == 1


async def numbers_of(db: Database) -> LastNumbers:
    numbers = await db.read(store.last_numbers)
    assert numbers is not None
    return numbers


def report(unit: WriteUnit, number: int) -> None:
    """Store a report of a leader that has this number."""
    unit.run("UPDATE leader SET seen = :report", {"report": json.dumps({"number": number})})


@pytest.mark.parametrize(
    ("more", "is_led", "is_current"),
    [(0, False, True), (12, False, True), (720, True, True), (720, False, False), (-720, False, True)],
)
async def test_a_folder_that_others_went_on_without_does_not_vouch_for_a_database_that_nobody_leads(
    db: Database, tmp_path: Path, more: int, *, is_led: bool, is_current: bool
) -> None:
    """It was down for long, and the database may have been restored to some moment since."""
    guard = RestoreGuard(db, tmp_path, Outbox())
    await db.write(lambda unit: report(unit, 10_000))
    await guard.turn()
    await db.write(lambda unit: report(unit, 10_000 + more))
    await db.write(log_in)
    before = await numbers_of(db)
    assert await RestoreGuard(db, tmp_path, Outbox()).apply(is_led=is_led) is is_current
    is_restored = more < 0
    assert await db.read(logins) == (1 if is_current and not is_restored else 0)
    assert ((await numbers_of(db)).since > before.since) is (is_restored or not is_current)
    assert await RestoreGuard(db, tmp_path, Outbox()).apply(is_led=True) is True


@pytest.mark.parametrize("is_led", [True, False])
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_of_a_leader_that_was_set_while_another_process_was_down_restores_nothing(
    db: Database, tmp_path: Path, hours: int, *, is_led: bool
) -> None:
    guard, before = RestoreGuard(db, tmp_path, Outbox()), datetime(2026, 12, 1, 12, tzinfo=UTC)
    await db.write(lambda unit: leader.publish(unit, {"at": moments.to_text(before)}))
    await guard.turn()
    after = before + timedelta(hours=hours)
    await db.write(lambda unit: leader.publish(unit, {"at": moments.to_text(after)}))
    await db.write(log_in)
    numbers = await numbers_of(db)
    assert await RestoreGuard(db, tmp_path, Outbox()).apply(is_led=is_led)
    assert await numbers_of(db) == numbers
    assert await db.read(logins) == 1


async def test_a_database_that_was_restored_while_the_clock_was_behind_is_made_safe_once(tmp_path: Path) -> None:
    """Its beginning tells other processes, and this one, that it was done: it has to be later than before."""
    clock = datetime(2026, 12, 1, 12, tzinfo=UTC)
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", lambda: clock) as db:
        await db.write(lambda unit: life.begin(unit, "life"))
        guards = [RestoreGuard(db, tmp_path / name, Outbox()) for name in ("one", "two")]
        for _ in range(5):
            await db.write(record)
        for name, guard in zip(("one", "two"), guards, strict=True):
            (tmp_path / name).mkdir()
            await guard.turn()
        clock -= timedelta(days=1)
        await db.write(lambda unit: unit.run("DELETE FROM events WHERE seq > 2"))
        await guards[0].turn()
        await db.write(log_in)
        safe = await numbers_of(db)
        for guard in [*guards, *guards]:
            await guard.turn()
        assert (await numbers_of(db)).since == safe.since
        assert await db.read(logins) == 1


async def test_a_restored_database_ends_the_term_of_the_leader_that_knows_it_as_of_later(
    db: Database, tmp_path: Path
) -> None:
    def lead(unit: WriteUnit) -> None:
        unit.run("UPDATE leader SET term = 3, process = 'shop-1', since = :since", {"since": unit.now_text})

    guard = RestoreGuard(db, tmp_path, Outbox())
    await guard.apply(is_led=True)
    for _ in range(5):
        await db.write(record)
    await db.write(lead)
    await guard.turn()
    await db.write(lambda unit: unit.run("DELETE FROM events WHERE seq > 2"))
    await guard.turn()
    row = await db.read(lambda unit: unit.one("SELECT term, since FROM leader"))
    assert row is not None
    assert (row["term"], row["since"]) == (4, None)


@pytest.mark.parametrize("lost", [0, 2])
async def test_no_number_comes_again_after_a_failover_which_one_process_sees_to(
    db: Database, tmp_path: Path, lost: int
) -> None:
    guards = [RestoreGuard(db, tmp_path / name, Outbox()) for name in ("one", "two")]
    for name, guard in zip(("one", "two"), guards, strict=True):
        (tmp_path / name).mkdir()
        await guard.apply(is_led=True)
    last = [await db.write(record) for _ in range(5)][-1]
    await db.write(log_in)
    for guard in guards:
        await guard.turn()
    await db.write(lambda unit: unit.run("DELETE FROM events WHERE seq > :last", {"last": last - lost}))
    first, second = guards
    assert await db.write(lambda unit: first.before_writing(unit, is_other_data=False)) is (lost > 0)
    after_first = await db.write(lambda unit: first.before_writing(unit, is_other_data=True))
    assert after_first is (lost == 0), "the second time nothing is left to do"
    assert not await db.write(lambda unit: second.before_writing(unit, is_other_data=True))
    assert await db.write(record) > last + 1_000
    assert await db.read(logins) == (0 if lost else 1)


@pytest.mark.parametrize("words", [4, 5, 6])
def test_numbers_that_an_earlier_version_recorded_are_read_and_tell_nothing_of_the_data(
    tmp_path: Path, words: int
) -> None:
    numbers = LastNumbers("life", "since", 3, 2, 50, "0123456789abcdef")
    restore_guard.note_last_numbers(tmp_path, numbers)
    assert restore_guard.last_numbers(tmp_path) == numbers
    file = tmp_path / "last-numbers"
    file.write_text(" ".join(file.read_text("ascii").split()[:words]) + "\n", "ascii")
    noted = restore_guard.last_numbers(tmp_path)
    assert noted == replace(numbers, reports=50 if words > 4 else 0, data_id=numbers.data_id if words > 5 else "")
    assert noted.has_missed_some(replace(numbers, data_id="another")) is (words > 5)


def test_a_database_that_is_moved_may_be_other_data(tmp_path: Path) -> None:
    numbers = LastNumbers("life", "since", 3, 2, 50, "0123456789abcdef")
    restore_guard.note_last_numbers(tmp_path, numbers)
    with folders.brought(tmp_path, tmp_path):
        pass
    noted = restore_guard.last_numbers(tmp_path)
    assert noted == replace(numbers, data_id="")
    assert not noted.has_missed_some(replace(numbers, data_id="another"))


async def test_a_revocation_is_on_record_before_it_is_answered(db: Database, tmp_path: Path) -> None:
    outbox = Outbox()
    guard = RestoreGuard(db, tmp_path, outbox)
    await guard.apply(is_led=True)
    outbox.on(EventType.API_KEY_REVOKED, guard.record_revoked)
    key, _ = await db.write(lambda unit: api_keys.create(unit, outbox, livemode=False, name="", scopes=list(Scope)))
    await db.write(lambda unit: api_keys.revoke(unit, outbox, key.id))
    assert restore_guard.revoked_keys(tmp_path) == {key.id}
    await guard.turn()
    assert (tmp_path / "revoked-keys").read_text("ascii").split() == [key.id], "once"


@pytest.mark.parametrize("is_other_data", [False, True])
async def test_a_key_stays_revoked_that_a_running_server_finds_good_after_a_restore_or_a_failover(
    db: Database, tmp_path: Path, *, is_other_data: bool
) -> None:
    outbox = Outbox()
    guard = RestoreGuard(db, tmp_path, outbox)
    await guard.apply(is_led=True)
    outbox.on(EventType.API_KEY_REVOKED, guard.record_revoked)
    key, _ = await db.write(lambda unit: api_keys.create(unit, outbox, livemode=False, name="", scopes=list(Scope)))
    await guard.turn()
    await db.write(lambda unit: api_keys.revoke(unit, outbox, key.id))
    if not is_other_data:
        await guard.turn()

    def restore(unit: WriteUnit) -> None:
        unit.run("DELETE FROM events WHERE type = 'api_key.revoked'")
        unit.run("UPDATE api_keys SET revoked_at = NULL")

    await db.write(restore)
    assert await db.write(lambda unit: guard.before_writing(unit, is_other_data=is_other_data))
    for _ in range(2):
        await guard.turn()
    assert (await db.read(lambda unit: api_keys.get(unit, key.id))).revoked_at is not None

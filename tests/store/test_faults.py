"""Faults of the storage: told from bugs, and logged once a minute."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crypto_checkout import descriptors
from crypto_checkout.app.clock import system_clock
from crypto_checkout.core.errors import DatabaseDamaged, DatabaseFailed
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.faults import Faults, advice, as_failure
from crypto_checkout.store.migrate import migrate


def sqlite_error(code: int, text: str = "no") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class Timer:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_many_failures_are_one_line_a_minute_and_one_when_it_is_over() -> None:
    timer = Timer()
    faults = Faults(timer)
    with capture_logs() as lines:
        for second in range(120):
            timer.now = 1_000.0 + second
            faults.note_failure(DatabaseFailed("full"))
            faults.note_success()
        timer.now += 60
        faults.note_success()
        faults.note_success()
    said = [(line["event"], line["failed"]) for line in lines]
    assert said == [("the database fails", 1), ("the database fails", 60), ("the database works again", 59)]


def test_damage_is_remembered_and_told_once() -> None:
    faults, told = Faults(), []
    faults.on_damage(lambda: told.append("damage"))
    for _ in range(2):
        faults.note_failure(DatabaseDamaged("malformed"))
    assert (faults.damage, told) == ("malformed", ["damage"])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), DatabaseFailed),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), DatabaseFailed),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), DatabaseDamaged),
        (sqlite_error(sqlite3.SQLITE_NOTADB), DatabaseDamaged),
        (OSError(errno.ENOSPC, "full"), DatabaseFailed),
        (sqlite_error(sqlite3.SQLITE_ERROR), sqlite3.OperationalError),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT), sqlite3.OperationalError),
        (ValueError("no"), ValueError),
    ],
)
def test_faults_of_the_storage_are_told_from_bugs(error: Exception, kind: type[Exception]) -> None:
    assert type(as_failure(error)) is kind


def test_each_fault_has_a_way_out(tmp_path: Path) -> None:
    assert "make room" in advice(OSError(errno.ENOSPC, "full"), tmp_path)
    assert "make room" in advice(as_failure(sqlite_error(sqlite3.SQLITE_FULL)), tmp_path)
    assert "read-only" in advice(OSError(errno.EROFS, "ro"), tmp_path)
    assert "chattr" in advice(OSError(errno.EPERM, "no"), tmp_path)
    assert "right" in advice(OSError(errno.EACCES, "no"), tmp_path)
    assert "restore" in advice(sqlite_error(sqlite3.SQLITE_CORRUPT), tmp_path)
    assert "LimitNOFILE" in advice(OSError(errno.EMFILE, "too many"), tmp_path)


def test_a_file_that_can_not_be_opened_is_a_matter_of_descriptors_where_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "SCARCE", 2**30)
    assert "LimitNOFILE" in advice(sqlite_error(sqlite3.SQLITE_CANTOPEN), tmp_path)


@contextmanager
def a_broken_page(path: Path, table: str) -> Iterator[None]:
    """Break the first page of a table on the disk."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    yield


async def test_a_broken_page_is_damage_for_who_reads_and_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)

    def read(unit: ReadUnit) -> None:
        unit.all("SELECT * FROM wallets")

    def write(unit: WriteUnit) -> None:
        unit.run("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 1)")

    with a_broken_page(path, "wallets"):
        async with await Database.open(path, system_clock) as db:
            for work in (db.read(read), db.write(write)):
                with pytest.raises(DatabaseDamaged, match="malformed"):
                    await work
            assert "malformed" in (db.faults.damage or "")


async def test_a_file_beside_the_database_that_can_not_be_written_is_a_fault_of_the_storage(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)

    def note(_: WriteUnit) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with await Database.open(path, system_clock) as db:
        with pytest.raises(DatabaseFailed, match="No space left"):
            await db.write(note)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "copies").write_text("", "utf-8")
    with pytest.raises(NotADirectoryError) as refused:
        (tmp_path / "copies" / "lock").open("w")
    assert "A file is where a folder should be" in advice(refused.value, tmp_path / "copies")

"""Of all that have the file open, only one writes its log back: the server, or Litestream where that ever ran."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.sqlite.checkpoints import Checkpoints, litestream_folder, write_back

pytestmark = pytest.mark.sqlite

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkout.db"
    migrate(path)
    return path


def now() -> datetime:
    return datetime.now(UTC)


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def head(path: Path) -> bytes:
    """Return what the log begins with: it changes whenever that starts over."""
    with log_of(path).open("rb") as file:
        return file.read(32)


async def write(db: Database, mib: int) -> list[int]:
    """Write to the log in units of half a MiB each; return its length after each."""

    def half(unit: WriteUnit) -> None:
        unit.run("INSERT INTO wallets (wallet_id, next_index, label) VALUES ('w', 0, '') ON CONFLICT DO NOTHING")
        unit.run("UPDATE wallets SET label = :label WHERE wallet_id = 'w'", {"label": os.urandom(MIB // 4).hex()})

    lengths = []
    for _ in range(2 * mib):
        await db.write(half)
        lengths.append(log_of(db.path).stat().st_size)
    return lengths


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def test_the_server_writes_the_log_back_while_it_serves(path: Path) -> None:
    async with await Database.open(path, now, serves=True) as db:
        assert max(await write(db, 20)) < 6 * MIB


async def test_a_command_leaves_it_to_the_server(path: Path) -> None:
    async with await Database.open(path, now, serves=True), await Database.open(path, now) as db:
        assert (await write(db, 20))[-1] > 20 * MIB


async def test_the_server_leaves_it_to_litestream_from_the_commit_after_its_start_until_it_is_removed(
    path: Path,
) -> None:
    async with await Database.open(path, now, serves=True) as db:
        await write(db, 1)
        litestream_folder(path).mkdir()
        await write(db, 10)
        beginning = head(path)
        assert (await write(db, 10))[-1] > 20 * MIB
        assert head(path) == beginning
        litestream_folder(path).rmdir()
        await write(db, 1)
        assert head(path) != beginning
        assert log_of(path).stat().st_size <= 17 * MIB


async def test_a_log_that_litestream_leaves_to_grow_is_emptied_before_it_fills_the_disk(path: Path) -> None:
    litestream_folder(path).mkdir()
    async with await Database.open(path, now, serves=True) as db:
        lengths = await write(db, 80)
        assert max(lengths) < 66 * MIB
        assert 0 in lengths, "it is cut off, which Litestream notices, not started over"


async def test_a_reader_in_the_way_only_puts_that_off(path: Path) -> None:
    litestream_folder(path).mkdir()
    async with await Database.open(path, now, serves=True) as db:
        await write(db, 55)
        beginning = head(path)
        with opened(path) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM wallets").fetchone()
            assert (await write(db, 15))[-1] > 70 * MIB
            assert head(path) == beginning
        lengths = await write(db, 5)
        assert max(lengths) < 6 * MIB


async def test_no_commit_starts_the_log_over_while_a_backup_writes_it_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite before 3.51.3 may otherwise damage the file."""
    connect = sqlite3.connect
    heads: list[bytes] = []

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, /, *parameters: object) -> sqlite3.Cursor:
            done = super().execute(sql, *parameters)  # type: ignore[arg-type]
            if "wal_checkpoint" in sql:
                for _ in range(2):
                    server.execute("UPDATE wallets SET next_index = next_index + 1")
                    heads.append(head(path))
            return done

    with opened(path) as server:
        server.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 0)")
        beginning = head(path)
        monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **named, factory=Watched))
        write_back(path)
        assert heads == [beginning, beginning]
        server.execute("PRAGMA wal_checkpoint(PASSIVE)")
        server.execute("UPDATE wallets SET next_index = next_index + 1")
        assert head(path) != beginning


def test_where_a_reader_keeps_a_log_that_is_all_written_back_the_next_commit_cuts_it_off(path: Path) -> None:
    """Litestream notices that too: the log is shorter than what it has copied of it."""
    litestream_folder(path).mkdir()
    checkpoints = Checkpoints(path, serves=True)
    with opened(path) as writer, opened(path) as reader:
        checkpoints.prepare(writer)
        writer.execute("INSERT INTO wallets (wallet_id, next_index, label) VALUES ('w', 0, hex(randomblob(34000000)))")
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM wallets").fetchone()
        checkpoints.bound(writer)
        assert log_of(path).stat().st_size > 64 * MIB
        reader.execute("ROLLBACK")
        writer.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('v', 0)")
        assert log_of(path).stat().st_size < MIB

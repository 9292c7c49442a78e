"""Who writes the log back and lets it start over: the server, or Litestream where that ever ran."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.sqlite.checkpoints import litestream_folder, long_read

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
    return Path(f"{path.resolve()}-wal")


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


def all_written_back(path: Path) -> None:
    """Write all of the log back: the next commit starts it over."""
    with opened(path) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0


async def test_the_server_writes_the_log_back_while_it_serves(path: Path) -> None:
    async with await Database.open(path, now, serves=True) as db:
        assert max(await write(db, 20)) < 6 * MIB


async def test_a_command_leaves_it_to_the_server(path: Path) -> None:
    async with await Database.open(path, now, serves=True), await Database.open(path, now) as db:
        assert (await write(db, 20))[-1] > 20 * MIB


async def test_the_server_leaves_it_to_litestream_from_the_next_commit_on(path: Path) -> None:
    async with await Database.open(path, now, serves=True) as db:
        await write(db, 10)
        all_written_back(path)
        beginning, length = head(path), log_of(path).stat().st_size
        litestream_folder(path).mkdir()
        await write(db, 1)
        assert head(path) != beginning, "SQLite starts it over itself"
        assert log_of(path).stat().st_size < 2 * MIB < length, "but cuts it off, which Litestream notices"
        beginning = head(path)
        assert (await write(db, 10))[-1] > 11 * MIB
        assert head(path) == beginning


async def test_a_log_is_cut_off_too_where_it_starts_over_after_litestream_was_removed(path: Path) -> None:
    """Litestream may come back, with the replica that it had."""
    litestream_folder(path).mkdir()
    async with await Database.open(path, now, serves=True) as db:
        await write(db, 10)
        litestream_folder(path).rmdir()
        beginning = head(path)
        lengths = await write(db, 3)
        assert head(path) != beginning
        assert min(lengths) < MIB


async def test_a_command_cuts_it_off_too(path: Path) -> None:
    litestream_folder(path).mkdir()
    async with await Database.open(path, now, serves=True) as db, await Database.open(path, now) as command:
        await write(db, 10)
        all_written_back(path)
        assert (await write(command, 1))[-1] < 2 * MIB


async def test_a_log_that_litestream_leaves_to_grow_is_emptied_before_it_fills_the_disk(path: Path) -> None:
    litestream_folder(path).mkdir()
    async with await Database.open(path, now, serves=True) as db:
        lengths = await write(db, 40)
        assert max(lengths) < 18 * MIB
        assert 0 in lengths, "it is cut off, not started over"


async def test_a_reader_in_the_way_puts_that_off_and_it_isnt_tried_at_each_commit(path: Path) -> None:
    litestream_folder(path).mkdir()
    async with await Database.open(path, now, serves=True) as db:
        await write(db, 10)
        beginning = head(path)
        with opened(path) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM wallets").fetchone()
            assert (await write(db, 15))[-1] > 25 * MIB
            assert head(path) == beginning
        assert (await write(db, 5))[-1] > 30 * MIB
        lengths = await write(db, 10)
        assert lengths[-1] < 10 * MIB


@pytest.mark.parametrize("configured", ["checkout.db", "links/link.db"])
async def test_litestream_may_know_a_file_by_a_link_to_it_or_by_its_own_name(
    path: Path, tmp_path: Path, configured: str
) -> None:
    link = tmp_path / "links" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    folder = litestream_folder(tmp_path / configured)
    folder.mkdir()
    assert litestream_folder(link) == folder
    async with await Database.open(link, now, serves=True) as db:
        assert (await write(db, 10))[-1] > 10 * MIB
        assert (await write(db, 10))[-1] < 10 * MIB


@pytest.mark.parametrize("is_written_back", [False, True])
def test_after_a_long_read_no_commit_starts_the_log_over_before_it_is_written_back(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, is_written_back: bool
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
        if is_written_back:
            all_written_back(path)
        monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **named, factory=Watched))
        with long_read(path):
            server.execute("UPDATE wallets SET next_index = next_index + 1")
            beginning = head(path)
        assert heads == [beginning, beginning]
        with long_read(path):
            pass
        assert heads == [beginning, beginning], "nothing came meanwhile"


def test_a_long_read_leaves_the_log_to_litestream(path: Path) -> None:
    litestream_folder(path).mkdir()
    with opened(path) as server:
        with long_read(path):
            server.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 0)")
        beginning = head(path)
        server.execute("UPDATE wallets SET next_index = 1")
        assert head(path) == beginning

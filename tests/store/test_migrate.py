"""From no file, or an older one, to today's tables: whole or not at all, once, and never without a copy."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import ExitStack, closing
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.errors import DatabaseTooNew, FatalError
from crypto_checkout.store import migrate as room
from crypto_checkout.store.migrate import Migration, migrate, migrations, schema

NEWEST = migrations()[-1].number
NEXT_SQL = """-- A later version.
CREATE TABLE notes (
    text TEXT NOT NULL
) STRICT;

UPDATE wallets SET next_index = 50;
"""
NEXT = Migration(NEWEST + 1, "later.sql", NEXT_SQL)
BROKEN = Migration(NEWEST + 1, "broken.sql", NEXT_SQL + "DROP TABLE missing;\n")
CHILD = """
import pathlib, sys
from crypto_checkout.store.migrate import migrate
print("ready", flush=True)
sys.stdin.readline()
print(len(migrate(pathlib.Path(sys.argv[1]))))
"""


def ask(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute(sql).fetchone()
    return row[0] if row else None


def tables(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return schema(connection)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def add(monkeypatch: pytest.MonkeyPatch, *later: Migration) -> None:
    """Be a later version of the program, which brings further migrations."""
    known = [*migrations(), *later]
    monkeypatch.setattr(room, "migrations", lambda: known)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with data, as the version before wrote it."""
    path = tmp_path / "checkout.db"
    migrate(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 7)")
    return path


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, NEWEST + 1))


def test_a_missing_database_is_made_in_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "checkout.db"
    assert migrate(path) == migrations()
    assert ask(path, "PRAGMA user_version") == NEWEST
    assert ask(path, "PRAGMA journal_mode") == "wal"
    assert ask(path, "PRAGMA integrity_check") == "ok"
    assert names(path.parent) == ["checkout.db", "secret.key"]


def test_only_the_owner_may_read_what_is_made(tmp_path: Path) -> None:
    path = tmp_path / "data" / "checkout.db"
    umask = os.umask(0)
    try:
        migrate(path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_mode_that_the_operator_chose_stays(path: Path) -> None:
    path.chmod(0o640)
    migrate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_migrating_again_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    assert migrate(path) == []
    assert path.read_bytes() == before
    assert names(path.parent) == ["checkout.db"]


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_migrate_at_once_apply_each_migration_once(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / f"{attempt}" / "checkout.db"
    command = [sys.executable, "-c", CHILD, str(path)]
    with ExitStack() as running:
        children = [
            running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(4)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        applied = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sorted(applied) == [0, 0, 0, NEWEST]
    assert ask(path, "PRAGMA user_version") == NEWEST


def test_a_later_version_applies_what_is_missing_and_keeps_the_data(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, NEXT)
    assert migrate(path) == [NEXT]
    assert ask(path, "SELECT next_index FROM wallets") == 50
    assert ask(path, "SELECT COUNT(*) FROM notes") == 0
    assert ask(path, "PRAGMA user_version") == NEXT.number


def test_a_copy_of_the_data_is_taken_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(path)
    copy = path.with_name(f"checkout.db.before-{NEXT.number:04}")
    add(monkeypatch, NEXT)
    with closing(sqlite3.connect(path, isolation_level=None)) as server:
        server.execute("UPDATE wallets SET next_index = 8")  # still in the WAL, which a copy of the file alone lacks
        migrate(path)
    assert ask(copy, "SELECT next_index FROM wallets") == 8
    assert ask(copy, "PRAGMA integrity_check") == "ok"
    assert ask(copy, "PRAGMA user_version") == NEWEST
    assert tables(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names(path.parent) == ["checkout.db", copy.name]


def test_a_copy_brings_the_version_before_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        add(later, NEXT)
        migrate(path)
    path.with_name(f"checkout.db.before-{NEXT.number:04}").replace(path)
    assert migrate(path) == []
    assert ask(path, "SELECT next_index FROM wallets") == 7


def test_one_copy_is_taken_however_many_migrations_follow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after_next = Migration(NEXT.number + 1, "last.sql", "DROP TABLE notes;\n")
    add(monkeypatch, NEXT, after_next)
    assert migrate(path) == [NEXT, after_next]
    assert names(path.parent) == ["checkout.db", f"checkout.db.before-{NEXT.number:04}"]


def test_a_migration_that_fails_half_way_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(path)
    with monkeypatch.context() as broken:
        add(broken, BROKEN)
        with pytest.raises(FatalError, match=r"no such table: missing.* then start again"):
            migrate(path)
    assert tables(path) == before
    assert ask(path, "SELECT next_index FROM wallets") == 7
    assert ask(path, "PRAGMA user_version") == NEWEST
    add(monkeypatch, NEXT)
    assert migrate(path) == [NEXT]


def test_migrations_before_the_one_that_fails_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, NEXT, Migration(NEXT.number + 1, "broken.sql", "DROP TABLE notes;\nDROP TABLE missing;\n"))
    with pytest.raises(FatalError, match="no such table"):
        migrate(path)
    assert ask(path, "PRAGMA user_version") == NEXT.number
    assert ask(path, "SELECT COUNT(*) FROM notes") == 0


def test_a_migration_that_ends_within_a_statement_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, Migration(NEXT.number, "torn.sql", NEXT_SQL + "DROP TABLE wallets"))
    with pytest.raises(ValueError, match="ends within a statement: DROP TABLE wallets"):
        migrate(path)
    assert ask(path, "SELECT next_index FROM wallets") == 7


def test_without_a_copy_nothing_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = path.with_name(f"checkout.db.before-{NEXT.number:04}")
    copy.mkdir()
    add(monkeypatch, NEXT)
    with pytest.raises(IsADirectoryError):
        migrate(path)
    assert ask(path, "PRAGMA user_version") == NEWEST
    assert names(path.parent) == ["checkout.db", copy.name]


def test_a_newer_database_is_refused_and_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        add(later, NEXT)
        migrate(path)
    before = path.read_bytes()
    with pytest.raises(DatabaseTooNew) as refusal:
        migrate(path)
    assert str(refusal.value) == (
        f"{path} was written by a newer version of crypto-checkout (schema {NEXT.number}; this one knows {NEWEST}). "
        "Install that version again, or restore a copy that was made before the upgrade."
    )
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 1000)
    with pytest.raises(FatalError, match=r"notes\.txt can't be brought up to date: file is not a database"):
        migrate(path)
    assert path.read_text() == "my notes " * 1000


def test_the_schema_for_readers_is_what_the_migrations_make(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)
    shipped = resources.files("crypto_checkout.store").joinpath("schema.sql").read_text("utf-8")
    assert tables(path) == shipped, "run scripts/schema"


def test_the_schema_for_readers_makes_the_same_tables_by_itself(tmp_path: Path) -> None:
    shipped = resources.files("crypto_checkout.store").joinpath("schema.sql").read_text("utf-8")
    path = tmp_path / "by-hand.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(shipped)
    assert tables(path) == shipped

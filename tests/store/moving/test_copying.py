"""All data to a PostgreSQL server and back: every row, whatever is in it, and the numbers of those to come."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.migrations.catalog import CatalogTable, tables
from crypto_checkout.store.moving import copying, mark
from crypto_checkout.store.moving.copying import CopyResult
from crypto_checkout.store.place import DatabaseServer
from tests.store.test_upgrades import NUMBERS, lay
from tests.support.postgresql import PostgresqlServer

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ODD_TEXTS = ("", "\\N", "\\", "tab\tline\nreturn\r", "'\"", "a\0b\0", "\ufffd", "😀 \u2028 é", "\x01\x7f", "\\x00")
HIGHEST = 2**63 - 1
NEXT = 5_000_000_000
MADE_BY_COPY = {"database_moves", "arrived_tables"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a database with all that ever happened in one, and with odd values."""
    path = lay(NUMBERS[-1], tmp_path / "from")
    migrate(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, text in enumerate(ODD_TEXTS):
            connection.execute(
                "INSERT INTO events (id, livemode, type, resource_id, body, created_at, packed) "
                "VALUES (?, 0, 'session.paid', '', ?, '2026-01-01T00:00:00.000000Z', ?)",
                (f"evt_{number}", text, text.encode()),
            )
            connection.execute("INSERT INTO setup_marks (name, at) VALUES (?, '')", (f"{text}-{number}",))
        connection.execute("INSERT INTO late_pages VALUES (1, ?, ?)", (HIGHEST, -HIGHEST - 1))
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'checkout_sessions'", (NEXT,))
    return path


@pytest.fixture
def server(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[DatabaseServer]:
    made = postgresql_server.empty_database(tmp_path)
    yield made
    postgresql_server.drop(made)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_A_PAGE", 7)


def copy(
    source: Path | DatabaseServer,
    target: Path | DatabaseServer,
    note: Callable[[str, int, int], None] = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> CopyResult:
    with ExitStack() as stack:
        opened = stack.enter_context(copying.opened(source))
        copying.refuse_foreign(target)
        migrate(target)
        return copying.copy(opened, stack.enter_context(copying.opened(target)), NOW, note, say)


def rows(path: Path, table: CatalogTable) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}").fetchall()  # noqa: S608


def fitting(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in row) for row in found]


def test_every_row_arrives_there_and_back_with_equal_digests(
    file: Path, server: DatabaseServer, tmp_path: Path
) -> None:
    there = copy(file, server)
    back = tmp_path / "checkout.db"
    again = copy(server, back)
    assert there.tables == again.tables
    assert there.digest == again.digest
    assert there.rows > 200
    for table in tables():
        if table.name not in MADE_BY_COPY:
            assert sorted(rows(back, table), key=repr) == sorted(fitting(rows(file, table)), key=repr)


def test_the_numbers_of_new_rows_go_on_where_the_sources_were(
    file: Path, server: DatabaseServer, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        before = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    copy(file, server)
    with psycopg.connect(server.url) as session:
        for name, last in before.items():
            row = session.execute(f"SELECT nextval(pg_get_serial_sequence('{name}', 'seq'))".encode()).fetchone()
            assert row == (last + 1,)
    back = tmp_path / "checkout.db"
    copy(server, back)
    with closing(sqlite3.connect(back)) as connection:
        after = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    assert {name: after[name] for name in before} == {name: last + 1 for name, last in before.items()}


def test_the_tables_and_indexes_are_those_of_a_new_database(file: Path, server: DatabaseServer, tmp_path: Path) -> None:
    copy(file, server)
    back, new = tmp_path / "checkout.db", tmp_path / "new.db"
    copy(server, back)
    migrate(new)
    schemas = []
    for path in (back, new):
        with closing(sqlite3.connect(path)) as connection:
            schemas.append(connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall())
    assert schemas[0] == schemas[1]


def test_the_indexes_on_the_server_are_those_of_a_new_database(
    file: Path, server: DatabaseServer, postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    new = postgresql_server.new_database(tmp_path)
    copy(file, server)
    found = []
    for each in (server, new):
        with psycopg.connect(each.url) as session:
            found.append(
                session.execute(
                    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"
                ).fetchall()
            )
    postgresql_server.drop(new)
    assert found[0] == found[1]


class Killed(Exception):
    """The end of a process, as far as the database sees it."""


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_copy_that_is_cut_off_anywhere_goes_on_where_it_ended(
    way: str, file: Path, server: DatabaseServer, tmp_path: Path
) -> None:
    source: Path | DatabaseServer = file
    target: Path | DatabaseServer = server
    whole = None
    if way == "back":
        whole = copy(file, server)
        source, target = server, tmp_path / "checkout.db"
    steps = 0
    said: list[str] = []
    while True:
        left = steps = steps + 23

        def note(*_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed

        try:
            result = copy(source, target, note, said.append)
        except Killed:
            continue
        break
    assert len(said) > 3
    assert result.went_on_after
    if whole is None:
        back = copy(server, tmp_path / "checkout.db")
        whole = back
    assert result.digest == whole.digest


def test_where_the_source_has_changed_since_the_copy_begins_anew(file: Path, server: DatabaseServer) -> None:
    def cut(_: str, done: int, __: int) -> None:
        if done > 150:
            raise Killed

    with pytest.raises(Killed):
        copy(file, server, cut)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE api_keys SET revoked_at = created_at")
    said: list[str] = []
    copy(file, server, say=said.append)
    assert said[-1] == "The source has changed since: the copy begins anew."
    with psycopg.connect(server.url) as session:
        assert session.execute("SELECT COUNT(*) FROM api_keys WHERE revoked_at IS NULL").fetchone() == (0,)


def test_what_is_not_empty_is_refused_and_stays(file: Path, server: DatabaseServer, tmp_path: Path) -> None:
    copy(file, server)
    other = lay(NUMBERS[-1], tmp_path / "other")
    migrate(other)
    with pytest.raises(FatalError, match="isn't empty, and nothing in it was changed"):
        copy(other, server)
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(FatalError, match="isn't empty, and nothing in it was changed"):
        copy(server, foreign)
    with closing(sqlite3.connect(foreign)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_the_copy_of_another_database_is_refused(file: Path, server: DatabaseServer, tmp_path: Path) -> None:
    def cut(*_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        copy(file, server, cut)
    other = lay(NUMBERS[-1], tmp_path / "other")
    migrate(other)
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("UPDATE database_life SET id = 'another'")
    with pytest.raises(FatalError, match="is the copy of another database"):
        copy(other, server)


def test_a_copy_that_was_cut_off_does_not_go_on_once_the_database_was_moved_elsewhere(
    file: Path, server: DatabaseServer, postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    def cut(*_: object) -> None:
        raise Killed

    second = postgresql_server.empty_database(tmp_path)
    with pytest.raises(Killed):
        copy(file, second, cut)
    copy(file, server)
    with pytest.raises(FatalError, match=r"was moved to .* already"):
        copy(file, second)
    with psycopg.connect(second.url) as session:
        assert session.execute("SELECT state FROM database_moves").fetchone() == ("arriving",)
    postgresql_server.drop(second)


def test_a_moved_database_is_not_moved_again(
    file: Path, server: DatabaseServer, postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    copy(file, server)
    assert mark.is_left(file)
    with pytest.raises(FatalError, match="already: nothing is left to be done"):
        copy(file, server)
    second = postgresql_server.empty_database(tmp_path)
    with pytest.raises(FatalError, match=r"was moved to .* already"):
        copy(file, second)
    postgresql_server.drop(second)


def test_a_difference_is_found_and_the_source_stays_in_use(file: Path, server: DatabaseServer) -> None:
    def spoil(step: str, done: int, total: int) -> None:
        if step == "Making indexes" and done == total:
            with psycopg.connect(server.url) as session:
                session.execute("UPDATE customers SET name = 'Mallory' WHERE seq = (SELECT MIN(seq) FROM customers)")

    with pytest.raises(FatalError, match="customers differs"):
        copy(file, server, spoil)
    assert not mark.is_left(file)
    with pytest.raises(FatalError, match="customers differs"):
        copy(file, server)


def test_nobody_writes_into_the_source_meanwhile(file: Path, server: DatabaseServer, tmp_path: Path) -> None:
    refused = []

    def write(step: str, done: int, total: int) -> None:
        if step == "Making indexes" and done == total:
            with closing(sqlite3.connect(file, timeout=0)) as connection:
                try:
                    connection.execute("DELETE FROM api_keys")
                except sqlite3.OperationalError as error:
                    refused.append(str(error))

    copy(file, server, write)
    assert refused == ["database is locked"]
    back = tmp_path / "checkout.db"

    def write_there(step: str, done: int, total: int) -> None:
        if step == "Making indexes" and done == total:
            with psycopg.connect(server.url) as session:
                row = session.execute("SELECT pg_try_advisory_xact_lock(x'43434B54'::int, 1)").fetchone()
                refused.append(str(row))

    copy(server, back, write_there)
    assert refused[1:] == ["(False,)"]


def test_a_copy_to_another_server_is_the_same(
    file: Path, server: DatabaseServer, postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    other = postgresql_server.empty_database(tmp_path)
    there = copy(file, server)
    assert copy(server, other).digest == there.digest
    postgresql_server.drop(other)

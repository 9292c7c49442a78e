"""The tables of both engines are the same, whenever a database was made."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crypto_checkout.core.errors import DatabaseTooNew, FatalError
from crypto_checkout.store import migrate as files
from crypto_checkout.store.migrate import migrate, migrations, pending
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks, schema
from tests.support.postgresql import PostgresqlServer

KINDS = {"bigint": "INTEGER", "text": "TEXT", "bytea": "BLOB"}


@pytest.fixture
def server(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[DatabaseServer]:
    """Make a database without tables."""
    made = postgresql_server.empty_database(tmp_path)
    yield made
    postgresql_server.drop(made)


def rows(server: DatabaseServer, sql: str) -> list[Any]:
    with psycopg.connect(server.url) as session:
        return session.execute(sql.encode()).fetchall()


def of_sqlite(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def plain(default: str | None) -> str | None:
    """Return a column's default without PostgreSQL's casts."""
    return None if default is None else re.sub(r"::\w+", "", default)


def columns_of_server(server: DatabaseServer) -> set[tuple[Any, ...]]:
    found = rows(
        server,
        "SELECT table_name, column_name, data_type, is_nullable = 'YES', column_default, collation_name"
        " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_version'",
    )
    assert {collation for *_, kind, _, _, collation in found if kind == "text"} == {"C"}
    return {(table, name, KINDS[kind], nullable, plain(default)) for table, name, kind, nullable, default, _ in found}


def columns_of_file(path: Path) -> set[tuple[Any, ...]]:
    found = of_sqlite(
        path,
        'SELECT t.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0, c.dflt_value'
        " FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    )
    return {(table, name, kind, bool(nullable), default) for table, name, kind, nullable, default in found}


def indexes_of_server(server: DatabaseServer) -> set[tuple[Any, ...]]:
    """Return the table, uniqueness, number of columns and kind of each index, and its name where we gave it."""
    found = rows(
        server,
        "SELECT t.relname, i.relname, x.indisunique, x.indnkeyatts, x.indpred IS NOT NULL, c.conname IS NOT NULL"
        " FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid"
        " LEFT JOIN pg_constraint AS c ON c.conindid = x.indexrelid AND c.contype IN ('p', 'u')"
        " WHERE t.relnamespace = 'public'::regnamespace AND t.relname <> 'schema_version' AND NOT x.indisprimary",
    )
    return {
        (table, "" if is_ours else name, unique, columns, partial)
        for table, name, unique, columns, partial, is_ours in found
    }


def indexes_of_file(path: Path) -> set[tuple[Any, ...]]:
    found = of_sqlite(
        path,
        'SELECT t.name, i.name, i."unique", (SELECT COUNT(*) FROM pragma_index_info(i.name)), i.partial, i.origin'
        " FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS i"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND i.origin <> 'pk'",
    )
    return {
        (table, name if origin == "c" else "", bool(unique), columns, bool(partial))
        for table, name, unique, columns, partial, origin in found
    }


def references_of_server(server: DatabaseServer) -> set[tuple[Any, ...]]:
    found = rows(
        server,
        "SELECT f.relname, t.relname, c.confdeltype"
        " FROM pg_constraint AS c JOIN pg_class AS f ON f.oid = c.conrelid JOIN pg_class AS t ON t.oid = c.confrelid"
        " WHERE c.contype = 'f'",
    )
    actions = {"a": "NO ACTION", "c": "CASCADE"}
    return {(table, to, actions[action]) for table, to, action in found}


def references_of_file(path: Path) -> set[tuple[Any, ...]]:
    return set(
        of_sqlite(
            path,
            'SELECT t.name, r."table", r.on_delete FROM sqlite_schema AS t JOIN pragma_foreign_key_list(t.name) AS r'
            " WHERE t.type = 'table'",
        )
    )


def checks_of_server(server: DatabaseServer) -> dict[str, int]:
    found = rows(
        server,
        "SELECT t.relname, COUNT(*) FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid"
        " WHERE c.contype = 'c' AND t.relname <> 'schema_version' GROUP BY t.relname",
    )
    return {str(table): int(number) for table, number in found}


def checks_of_file(path: Path) -> dict[str, int]:
    found = of_sqlite(path, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%CHECK (%'")
    return {str(table): sql.count("CHECK (") for table, sql in found}


def assert_same_tables(server: DatabaseServer, path: Path) -> None:
    assert columns_of_server(server) == columns_of_file(path)
    assert indexes_of_server(server) == indexes_of_file(path)
    assert references_of_server(server) == references_of_file(path)
    assert checks_of_server(server) == checks_of_file(path)
    assert rows_of_server(server) == rows_of_file(path)


def rows_of_server(server: DatabaseServer) -> dict[str, list[Any]]:
    """Return the rows that the migrations put into an empty database."""
    found = rows(server, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    return {
        name: there
        for (name,) in found
        if name != "schema_version" and (there := rows(server, f"SELECT * FROM {name}"))  # noqa: S608 - a name
    }


def rows_of_file(path: Path) -> dict[str, list[Any]]:
    names = of_sqlite(path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {name: there for (name,) in names if (there := of_sqlite(path, f"SELECT * FROM {name}"))}  # noqa: S608 - a name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkout.db"
    path.touch()
    files._bring_up_to_date(path)
    return path


def test_a_new_database_has_the_tables_of_a_new_file(server: DatabaseServer, path: Path) -> None:
    assert [each.number for each in pending(server)] == [each.number for each in migrations()]
    assert migrate(server) == migrations()
    assert_same_tables(server, path)
    assert migrate(server) == pending(server) == []


def test_the_oldest_database_gets_the_same_tables_by_the_migrations_since(
    server: DatabaseServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: known[: schema.FIRST])
        assert migrate(server) == known[: schema.FIRST]
    assert migrate(server) == known[schema.FIRST :]
    assert_same_tables(server, path)


def test_a_newer_database_is_refused(server: DatabaseServer) -> None:
    migrate(server)
    with psycopg.connect(server.url) as session:
        session.execute("UPDATE schema_version SET number = number + 1")
    for look in (migrate, pending):
        with pytest.raises(DatabaseTooNew, match="newer version"):
            look(server)


def test_what_fails_changes_nothing(server: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    of_file = schema._first_file
    broken = "CREATE TABLE oops (a NOTHING);"
    monkeypatch.setattr(schema, "_first_file", lambda known: (of_file(known)[0] + broken, []))
    with pytest.raises(FatalError, match="Nothing in it was changed"):
        migrate(server)
    assert rows(server, "SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_tables_are_never_changed_under_a_server(server: DatabaseServer) -> None:
    with psycopg.connect(server.url, autocommit=True, application_name="crypto-checkout writer 77@shop") as serving:
        serving.execute(f"SELECT pg_advisory_lock_shared({locks.SPACE}, {locks.SERVE})".encode())
        with pytest.raises(FatalError, match=r"is served by 77@shop\. Its tables have to be brought up to date"):
            migrate(server)
    assert migrate(server) == migrations()

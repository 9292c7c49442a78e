"""The password of the database's user, changed under a running server: it goes on, without a restart of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql.session import connect
from tests.support.postgresql import PostgresqlServer
from tests.support.server import Server, command

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}


@pytest.fixture
def database(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """Start a server that asks the user of a shop for a password."""
    with PostgresqlServer(postgresql_server.programs) as server:
        server.execute("CREATE USER checkout PASSWORD 'first'")
        for name in ("shop", "other"):
            server.execute(f"CREATE DATABASE {name} OWNER checkout TEMPLATE template0 ENCODING 'UTF8'")
        rules = server.folder / "data" / "pg_hba.conf"
        rules.write_text("local all postgres trust\nlocal all checkout scram-sha-256\n", "ascii")
        server.execute("SELECT pg_reload_conf()")
        yield server


def change_password(database: PostgresqlServer, password: str) -> None:
    database.execute(f"ALTER USER checkout PASSWORD '{password}'")


def end_sessions(database: PostgresqlServer) -> None:
    database.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'checkout'")


def write_url(file: Path, database: PostgresqlServer, password: str, name: str = "shop") -> None:
    file.write_text(f"postgresql://checkout:{password}@/{name}?host={database.folder}\n", "utf-8")


@pytest.mark.parametrize("way", ["the file is changed", "the password is put back"])
def test_a_changed_password_is_told_and_the_right_one_needs_no_restart(
    database: PostgresqlServer, tmp_path: Path, way: str
) -> None:
    file = tmp_path / "database-url"
    write_url(file, database, "first")
    with Server(tmp_path, '[database]\nurl_file = "database-url"\n') as server:

        def create() -> int:
            return server.api.post("/checkout_sessions", json=PRICE).status_code

        stored = server.api.post("/checkout_sessions", json=PRICE).raise_for_status().json()["id"]
        change_password(database, "second")
        assert create() == 201, "sessions that are open go on"
        end_sessions(database)
        server.wait_until(lambda: create() == 503, "refuse")
        refused = server.api.post("/checkout_sessions", json=PRICE)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        ready = server.api.get(f"{server.url}/readyz")
        assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "can't be written")
        assert server.logs_once_a_minute("the database fails")
        examined = command(tmp_path, "doctor")
        assert "It refuses the password" in examined.stdout
        assert "Traceback" not in examined.stderr
        if way == "the file is changed":
            write_url(file, database, "second")
        else:
            change_password(database, "first")
        server.wait_until(lambda: create() == 201, "go on, without a restart")
        assert server.api.get(f"/checkout_sessions/{stored}").is_success
        assert "second" not in server.log
        assert "Traceback" not in server.log


def test_a_file_that_names_another_database_or_none_is_for_the_next_start(
    database: PostgresqlServer, tmp_path: Path
) -> None:
    file = tmp_path / "database-url"
    write_url(file, database, "first")
    server = DatabaseServer(file.read_text("utf-8").strip(), tmp_path, file)

    def found() -> str:
        with connect(server, "test") as session:
            return session.info.dbname

    write_url(file, database, "first", "other")
    assert found() == "shop"
    file.write_text("postgresql://[", "utf-8")
    assert found() == "shop"
    file.unlink()
    assert found() == "shop"


@pytest.mark.parametrize("way", ["PGPASSWORD", "PGPASSFILE"])
def test_the_password_may_be_where_libpq_looks_for_it(
    database: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:checkout:first\n", "utf-8")
    file.chmod(0o600)
    server = DatabaseServer(f"postgresql://checkout@/shop?host={database.folder}", tmp_path)
    with pytest.raises(DatabaseFailed):
        connect(server, "test")
    monkeypatch.setenv(way, "first" if way == "PGPASSWORD" else str(file))
    connect(server, "test").close()

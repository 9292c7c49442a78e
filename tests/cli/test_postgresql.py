"""`crypto-checkout` with its database on a real PostgreSQL server."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crypto_checkout.app.urls import place
from crypto_checkout.config import Config
from crypto_checkout.core.errors import FatalError
from tests.support.postgresql import PostgresqlServer
from tests.support.server import Server, command

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
WITHIN_SECONDS = 1.0


@pytest.fixture
def url(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[str]:
    """Make a database without tables, and name its URL as owners do, with a password."""
    made = postgresql_server.empty_database(tmp_path)
    yield made.url.replace("postgres@/", "postgres:hush@/")
    postgresql_server.drop(made)


def configured(folder: Path, url: str) -> Path:
    folder.mkdir()
    (folder / "checkout.toml").write_text(f'[database]\nurl = "{url}"\n', "utf-8")
    return folder


def test_a_server_starts_on_an_empty_database_and_goes_on_after_it_was_killed(tmp_path: Path, url: str) -> None:
    folder = configured(tmp_path / "shop", url)
    with Server(folder) as server:
        assert "postgresql://postgres:***@/" in server.output
        made = [server.api.post("/checkout_sessions", json=PRICE).json() for _ in range(5)]
        key = server.key
        server.kill()
    with Server(folder) as server:
        api = server.client(key)
        assert [api.get(f"/checkout_sessions/{each['id']}").json()["address"] for each in made] == [
            each["address"] for each in made
        ]
        later = api.post("/checkout_sessions", json=PRICE).json()
        assert later["address"] not in {each["address"] for each in made}
        assert [each["id"] for each in api.get("/checkout_sessions").json()["data"]] == [
            later["id"],
            *(each["id"] for each in reversed(made)),
        ]
        assert "hush" not in server.output + server.log
    assert not (folder / "checkout-data" / "checkout.db").exists()
    assert (folder / "checkout-data" / "secret.key").exists()


def test_a_key_revoked_by_a_command_is_refused_within_a_second(tmp_path: Path, url: str) -> None:
    folder = configured(tmp_path / "shop", url)
    with Server(folder) as server:
        made = server.api.post("/checkout_sessions", json=PRICE).json()
        assert server.api.get(f"/checkout_sessions/{made['id']}").status_code == 200
        listed = command(folder, "keys", "list")
        revoked = command(folder, "keys", "revoke", listed.stdout.split()[0])
        assert revoked.returncode == 0, revoked.stderr
        revoked_at = asked_at = time.monotonic()
        while (status := server.api.get(f"/checkout_sessions/{made['id']}").status_code) == 200:
            assert asked_at - revoked_at < WITHIN_SECONDS
            asked_at = time.monotonic()
        assert status == 401


def test_what_a_file_needs_says_what_to_do_instead(tmp_path: Path, url: str) -> None:
    folder = configured(tmp_path / "shop", url)
    assert "There is no database at postgresql://postgres:***@/" in command(folder, "migrate").stderr
    with Server(folder) as server:
        doctor = command(folder, "doctor")
        assert "ok    database: postgresql://postgres:***@/" in doctor.stdout
        assert f"ok    leader: {server.process.pid}@" in doctor.stdout
        assert doctor.returncode == 0, doctor.stdout
    assert command(folder, "migrate").stdout.endswith(" is up to date.\n")
    for arguments, words in (
        (("backup", "x.db"), "pg_dump"),
        (("backups",), "pg_dump"),
        (("restore", "x.db"), "pg_restore"),
    ):
        done = command(folder, *arguments)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr


def test_a_file_beside_the_url_is_refused(tmp_path: Path, url: str) -> None:
    folder = configured(tmp_path / "shop", url)
    (folder / "checkout-data").mkdir()
    (folder / "checkout-data" / "checkout.db").touch()
    refused = command(folder, "serve")
    assert refused.returncode == 1
    assert "There are two databases" in refused.stderr


def test_a_server_that_is_not_there_is_told_with_what_to_check(tmp_path: Path) -> None:
    folder = configured(tmp_path / "shop", f"postgresql://ada:hush@/shop?host={tmp_path}")
    refused = command(folder, "serve")
    assert refused.returncode == 1
    assert f"postgresql://ada:***@/shop?host={tmp_path} can't be used" in refused.stderr
    assert "hush" not in refused.stderr
    assert "failed: No such file or directory. Check that it runs" in refused.stderr
    assert "psql with the same URL" in refused.stderr


def test_without_the_package_that_speaks_to_servers_it_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    config = Config.model_validate({"database": {"url": "postgresql://ada@/shop"}})
    with pytest.raises(FatalError, match=r"pip install 'crypto-checkout\[postgresql\]'"):
        place(config)


def test_with_a_file_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    code = "import sys, crypto_checkout.app.server, crypto_checkout.cli; print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_data_is_in_the_database(tmp_path: Path, url: str) -> None:
    with Server(configured(tmp_path / "shop", url)) as server:
        made = server.api.post("/checkout_sessions", json=PRICE).json()
        with psycopg.connect(url) as session:
            found = session.execute("SELECT id FROM checkout_sessions").fetchall()
    assert found == [(made["id"],)]

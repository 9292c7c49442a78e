"""A database that is restored to an earlier state by other means than `restore`: nothing that was ended begins again.

With a PostgreSQL server that is how it is done; a file is copied over by hand.
"""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.dashboard import PASSWORD, SET_UP_LINK
from tests.support.postgresql import PostgresqlServer
from tests.support.server import Server, command
from tests.support.waiting import WAIT_SECONDS

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}


@dataclass(frozen=True)
class Shop:
    """A shop's folder; `back_up` makes a copy of its database, and `restore` puts it in place again."""

    folder: Path
    back_up: Callable[[], object]
    restore: Callable[[], object]
    ask: Callable[[str], list[tuple[object, ...]]]


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    folder.mkdir()
    if request.param == "sqlite":
        path, copy = folder / "checkout-data" / "checkout.db", tmp_path / "copy.db"

        def ask(sql: str) -> list[tuple[object, ...]]:
            with closing(sqlite3.connect(path)) as connection:
                return connection.execute(sql).fetchall()

        yield Shop(folder, lambda: shutil.copyfile(path, copy), lambda: shutil.copyfile(copy, path), ask)
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    made, programs, dump = server.empty_database(tmp_path), server.programs, tmp_path / "checkout.dump"
    (folder / "checkout.toml").write_text(f'[database]\nurl = "{made.url}"\n', "utf-8")

    def run(program: str, *arguments: str | Path) -> None:
        subprocess.run([programs / program, *arguments], check=True, capture_output=True)

    def ask_server(sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(made.url) as session:
            return session.execute(sql.encode()).fetchall()

    yield Shop(
        folder,
        lambda: run("pg_dump", "--format", "custom", "--file", dump, made.url),
        lambda: run("pg_restore", "--clean", "--if-exists", "--no-owner", "--dbname", made.url, dump),
        ask_server,
    )
    server.drop(made)


def sell(server: Server, key: str | None, times: int = 3) -> list[str]:
    api = server.client(key)
    return [str(api.post("/checkout_sessions", json=PRICE).json()["address"]) for _ in range(times)]


@contextmanager
def visitor(server: Server, cookies: dict[str, str]) -> Iterator[httpx.Client]:
    """Open the dashboard with the cookies of a browser."""
    with httpx.Client(
        base_url=f"{server.url}/dashboard",
        headers={"Origin": server.url},
        cookies=cookies,
        timeout=WAIT_SECONDS,
        trust_env=False,
    ) as client:
        yield client


def set_up(server: Server) -> dict[str, str]:
    """Set the password, and return the cookies of the browser that is signed in."""
    link = SET_UP_LINK.search(server.output)
    assert link is not None
    with visitor(server, {}) as owner:
        body = {"token": link[1], "password": PASSWORD, "again": PASSWORD}
        assert owner.post("/set-up", data=body).status_code == 303
        return dict(owner.cookies)


def test_what_was_ended_stays_ended_and_no_address_is_given_out_twice(shop: Shop) -> None:
    with Server(shop.folder) as server:
        key = server.key
        given = sell(server, key)
        browser = set_up(server)
        with visitor(server, browser) as owner:
            assert owner.get("/test/settings").status_code == 200
    shop.back_up()
    with Server(shop.folder) as server:
        given += sell(server, key, 8)
        with visitor(server, browser) as owner:
            owner.post("/test/sign-out")
    [(newest,)] = shop.ask("SELECT MAX(seq) FROM events")
    [(key_id,)] = shop.ask("SELECT id FROM api_keys")
    assert command(shop.folder, "keys", "revoke", str(key_id)).returncode == 0

    shop.restore()
    assert shop.ask("SELECT id FROM api_keys WHERE revoked_at IS NULL") == [(key_id,)]
    with Server(shop.folder) as server:
        assert server.client(key).get("/events").json()["error"]["code"] == "revoked_api_key"
        with visitor(server, browser) as thief:
            assert thief.get("/test/settings").status_code == 303
        made = command(shop.folder, "keys", "create", "--name", "new", "--json")
        given += sell(server, json.loads(made.stdout)["key"])
        assert "API keys worked again that had been revoked" in server.log
        assert "the database was restored to an earlier state: all logins" in server.log
        browser = _sign_in(server)
    assert len(set(given)) == len(given)
    made_since = shop.ask("SELECT seq FROM events WHERE type = 'session.created' ORDER BY seq DESC LIMIT 3")
    assert min(made_since) > (newest,)

    with Server(shop.folder) as server:
        assert "was restored" not in server.log
        with visitor(server, browser) as owner:
            assert owner.get("/test/settings").status_code == 200


def _sign_in(server: Server) -> dict[str, str]:
    with visitor(server, {}) as owner:
        assert owner.post("/sign-in", data={"password": PASSWORD}).headers["location"] == "/dashboard"
        return dict(owner.cookies)

"""The guide *A PostgreSQL database*: its commands are run, and do what it says."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crypto_checkout.http.docs.contents import guide_text
from tests.http.docs.test_guides import blocks
from tests.support import postgresql
from tests.support.postgresql import USER, PostgresqlServer
from tests.support.server import Server

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
COMMANDS = [
    line.removeprefix("$ ")
    for info, text in blocks(guide_text("postgresql", ""))
    if info == "console"
    for line in text.splitlines()
]


@pytest.fixture
def url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """Make the user and the database by the guide's first commands; the password isn't asked for, as all may in."""
    made = [re.sub(" --pwprompt", "", each.removeprefix("sudo -u postgres ")) for each in COMMANDS[:2]]
    assert [each.split()[0] for each in made] == ["createuser", "createdb"]
    for command in made:
        run(f"{command} ", postgresql_server, PGHOST=str(postgresql_server.folder), PGUSER=USER)
    yield f"postgresql://checkout@/checkout?host={postgresql_server.folder}"
    postgresql_server.execute("DROP DATABASE checkout WITH (FORCE)")
    postgresql_server.execute("DROP ROLE checkout")


def run(command: str, server: PostgresqlServer, **environ: str) -> None:
    """Run a command of the guide, with the programs of the server."""
    del server
    programs = postgresql.find()
    assert programs is not None
    command = command.replace('"$DATABASE_URL"', shlex.quote(environ.get("DATABASE_URL", "")))
    path = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(command), env={"PATH": path, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_restored_dump_gives_no_address_out_again(
    postgresql_server: PostgresqlServer, url: str, tmp_path: Path
) -> None:
    dump, restore = COMMANDS[2:]
    (tmp_path / "checkout.toml").write_text(f'[database]\nurl = "{url}"\n', "utf-8")
    file = tmp_path / "checkout.dump"
    with Server(tmp_path) as server:
        key = server.key
        addresses = {server.api.post("/checkout_sessions", json=PRICE).json()["address"] for _ in range(3)}
        run(dump.replace("checkout.dump", str(file)), postgresql_server, DATABASE_URL=url)
        addresses |= {server.api.post("/checkout_sessions", json=PRICE).json()["address"] for _ in range(3)}
    run(restore.replace("checkout.dump", str(file)), postgresql_server, DATABASE_URL=url)
    with Server(tmp_path) as server:
        api = server.client(key)
        assert len(api.get("/checkout_sessions").json()["data"]) == 3
        later = {api.post("/checkout_sessions", json=PRICE).json()["address"] for _ in range(3)}
    assert len(addresses) == 6
    assert not later & addresses
    with psycopg.connect(url) as session:
        assert session.execute("SELECT COUNT(*) FROM checkout_sessions").fetchone() == (6,)

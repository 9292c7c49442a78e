"""The guide *A PostgreSQL database*: its commands, run in order, do what it says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from crypto_checkout.http.docs.contents import guide_text
from tests.http.docs.test_past_one_machine import SUDO
from tests.support.postgresql import DURABLE, USER, PostgresqlServer, find
from tests.support.server import Server, command, environment

GUIDE = guide_text("postgresql", "")
PRICE = {"amount": {"value": "30.00", "currency": "USD"}}


def commands(heading: str) -> list[str]:
    """Return the commands below a heading."""
    section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.+)$", section, re.MULTILINE)


@pytest.fixture
def url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """Make the user and the database by the guide's commands; the password isn't asked for, as all may in."""
    programs = postgresql_server.programs
    environ = {"PATH": str(programs), "PGHOST": str(postgresql_server.folder), "PGUSER": USER}
    for line in commands("Set up"):
        arguments = line.removeprefix("sudo -u postgres ").replace("--pwprompt ", "").split()
        subprocess.run([programs / arguments[0], *arguments[1:]], env=environ, check=True)
    yield f"postgresql://checkout@/checkout?host={postgresql_server.folder}"
    postgresql_server.execute("DROP DATABASE checkout WITH (FORCE)")
    postgresql_server.execute("DROP ROLE checkout")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Make a shop's folder, beside that of the programs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "crypto-checkout"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m crypto_checkout "$@"\n', "utf-8")
    program.chmod(0o755)
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def run(folder: Path, line: str, url: str) -> str:
    """Run a command of the guide, which has to succeed."""
    postgresql = find()
    assert postgresql is not None
    environ = environment({"DATABASE_URL": url})
    environ["PATH"] = f"{folder.parent / 'programs'}:{postgresql}:{environ['PATH']}"
    shell = ["/bin/sh", "-c", line]
    done = subprocess.run(shell, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def sell(folder: Path, key: str | None, config: str | None = None) -> tuple[str | None, set[str]]:
    """Serve, and make a few sessions; return the key of a first start, and all addresses of sessions."""
    with Server(folder, config) as server:
        api = server.client(server.key or key)
        for _ in range(3):
            assert api.post("/checkout_sessions", json=PRICE).status_code == 201
        listed = api.get("/checkout_sessions?limit=100").json()["data"]
        return server.key or key, {each["address"] for each in listed}


@pytest.mark.sqlite  # begins with a file
def test_a_shop_moves_there_is_restored_and_moves_back_by_the_commands_of_the_guide(shop: Path, url: str) -> None:
    key, before = sell(shop, None, "")
    (shop / "database-url").write_text(f"{url}\n", "utf-8")
    for line in commands("Move there"):
        run(shop, line, url)
    key, there = sell(shop, key, '[database]\nurl_file = "database-url"\n')
    assert len(there) == len(before) + 3
    dump, restore = commands("Backups")
    run(shop, dump, url)
    key, lost = sell(shop, key)
    run(shop, restore, url)
    key, after = sell(shop, key)
    assert after > there
    assert not (after - there) & (lost - there), "no address is given out twice"
    for line in commands("Move back"):
        run(shop, line, url)
    key, back = sell(shop, key, '[database]\npath = "new-data/checkout.db"\n')
    assert back > after
    assert len(back - lost) == len(back) - len(there)


@pytest.fixture
def database(postgresql_server: PostgresqlServer, shop: Path) -> Iterator[PostgresqlServer]:
    """Start a server of the test's own, with a database for the shop; `sudo` becomes its user and nobody else."""
    sudo = shop.parent / "programs" / "sudo"
    sudo.write_text(SUDO, "utf-8")
    sudo.chmod(0o755)
    with PostgresqlServer(postgresql_server.programs, **DURABLE) as server:
        server.execute("CREATE DATABASE checkout TEMPLATE template0 ENCODING 'UTF8'")
        yield server


def run_there(database: PostgresqlServer, folder: Path, line: str) -> None:
    """Run a command of the guide on the machine of the database, which is a folder here."""
    if line.endswith(" postgresql"):
        if " start " not in line:
            database.stop()
        if " stop " not in line:
            database.start()
        return
    line = line.replace("'cp /var/lib/postgresql/archive", "'sleep 1; cp /var/lib/postgresql/archive")  # a slow archive
    line = line.replace("/var/lib/postgresql/15/main", f"{database.folder}/data")
    line = line.replace("/var/lib/postgresql", str(database.folder))
    run(folder, f"cd /; export PGHOST={database.folder} PGUSER={USER}; {line}", "")


def test_a_shop_goes_back_to_a_moment_by_the_commands_of_the_guide(shop: Path, database: PostgresqlServer) -> None:
    lines = commands("Back to any moment")
    way_back = lines.index("sudo systemctl stop postgresql")
    environ = {"CHECKOUT__DATABASE__URL": database.url("checkout")}

    def keys(*arguments: str) -> str:
        done = command(shop, "keys", *arguments, environ=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sold(api: httpx.Client) -> dict[str, str]:
        made = [api.post("/checkout_sessions", json=PRICE).raise_for_status().json() for _ in range(3)]
        return {each["id"]: each["address"] for each in made}

    with Server(shop, "", environ=environ) as server:
        for line in lines[:way_back]:
            run_there(database, shop, line)
        revoked = json.loads(keys("create", "--mode", "test", "--name", "lost laptop", "--json"))
        server.wait_until(lambda: server.client(revoked["key"]).get("/events").is_success, "be back")
        before, key = sold(server.api), server.key
        with psycopg.connect(database.url("checkout")) as asking:
            moment = str(*asking.execute("SELECT clock_timestamp()").fetchone() or ())
        lost = sold(server.api)
        keys("revoke", revoked["id"])
    for line in lines[way_back:]:
        run_there(database, shop, line.replace("2026-12-01 21:30:00 UTC", moment))
    with Server(shop, environ=environ) as server:
        assert "the database was restored to an earlier state" in server.log
        assert server.client(revoked["key"]).get("/events").status_code == 401
        api = server.client(key)
        assert all(api.get(f"/checkout_sessions/{each}").is_success for each in before)
        assert {api.get(f"/checkout_sessions/{each}").status_code for each in lost} == {404}
        given_out = [*before.values(), *lost.values(), *sold(api).values()]
        assert len(given_out) == len(set(given_out)), "no address is given out twice"

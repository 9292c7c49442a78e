"""From the database of every earlier schema to today's, also where the upgrade is killed: all of it, or nothing.

`old_databases` has a database of each schema, made by the program of its time, with what its API said.
"""

import asyncio
import gzip
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.app.clock import system_clock
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.store.checkout.sessions import SessionFilter
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate, migrations, pending, schema
from crypto_checkout.store.paging import Window
from crypto_checkout.store.webhooks import bodies

OLD = Path(__file__).parent / "old_databases"
NUMBERS = sorted(file.name[:4] for file in OLD.glob("*.db.gz"))
NEVER_LAST = {1, 2, 8, 22, 30}
"""Migrations that were in no version without the one after them."""
CHILD = "import pathlib, sys; from crypto_checkout.store.migrate import migrate; migrate(pathlib.Path(sys.argv[1]))"

pytestmark = [pytest.mark.usefixtures("every_migration"), pytest.mark.sqlite]


def lay(number: str, folder: Path) -> Path:
    """Lay an old database into a folder, as its own version left it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "checkout.db"
    path.write_bytes(gzip.decompress((OLD / f"{number}.db.gz").read_bytes()))
    key = OLD / f"{number}.secret.key"
    if key.exists():
        (folder / "secret.key").write_bytes(key.read_bytes())
    return path


def facts(number: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((OLD / f"{number}.json").read_text("utf-8"))["sessions"]
    return found


def listed(path: Path) -> list[dict[str, Any]]:
    """Return what today's API says of the sessions, as `old_databases.make` keeps it, oldest first."""

    async def read() -> list[dict[str, Any]]:
        async with await Database.open(path, system_clock) as db:
            await Totals(db, system_clock).catch_up()  # as the server does in the background after its start
            page = await SessionReader(db, public_url="").listed(False, SessionFilter(), Window(100))
        return [
            {
                **{name: each[name] for name in ("id", "status", "address", "customerEmail", "metadata", "paidAt")},
                "amount": each["amount"]["units"],
                "received": each["amountReceived"]["units"],
                "payments": [payment["txHash"] for payment in each["payments"]],
            }
            for each in reversed(page.items)
        ]

    return asyncio.run(read())


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump()]


def test_there_is_a_database_of_every_schema() -> None:
    """`python -m tests.store.old_databases.make` makes those that are missing, once their migration is committed."""
    assert [f"{each.number:04}" for each in migrations() if each.number not in NEVER_LAST] == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_everything_that_was_known_is_known_after_the_upgrade(number: str, tmp_path: Path) -> None:
    path = lay(number, tmp_path)
    assert ask(path, "PRAGMA user_version") == [(int(number),)]
    assert [each.number for each in pending(path)] == [*range(int(number) + 1, migrations()[-1].number + 1)]
    migrate(path)
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    assert ask(path, "PRAGMA foreign_key_check") == []
    with closing(sqlite3.connect(path)) as connection:
        assert schema(connection) == resources.files("crypto_checkout.store").joinpath("schema.sql").read_text("utf-8")
    assert listed(path) == facts(number)
    assert migrate(path) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_the_events_of_an_old_database_are_the_same_to_the_byte_once_they_are_packed(
    number: str, tmp_path: Path
) -> None:
    path = lay(number, tmp_path)
    before = ask(path, "SELECT id, body FROM events WHERE body <> '' ORDER BY seq")
    migrate(path)
    subprocess.run([sys.executable, "-m", "tests.support.event_packer", str(path)], check=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT id, body, packed FROM events ORDER BY seq").fetchall()
    assert rows
    assert all(row["packed"] is not None for row in rows)
    after = [(row["id"], bodies.read(row)) for row in rows]
    assert [each for each in after if each[0] in dict(before)] == before


@pytest.mark.parametrize("number", NUMBERS[:-1:8])
def test_an_upgrade_that_is_killed_is_whole_or_not_begun(number: str, tmp_path: Path) -> None:
    kills(number, tmp_path, 4)


@pytest.mark.heavy
@pytest.mark.parametrize("number", NUMBERS[:-1])
def test_no_moment_of_a_kill_leaves_half_an_upgrade(number: str, tmp_path: Path) -> None:
    kills(number, tmp_path, 20)


def kills(number: str, folder: Path, count: int) -> None:
    """Kill upgrades at random moments; each time the database is as it was, or upgraded."""
    old = lay(number, folder / "whole")
    before = dump(old)
    migrate(old)
    after, seed = secretless(dump(old)), random.randrange(2**32)
    chance = random.Random(seed)
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", CHILD, lay(number, folder / "timed")], check=True)
    seconds = time.monotonic() - started
    for attempt in range(count):
        path = lay(number, folder / f"{attempt}")
        child = subprocess.Popen([sys.executable, "-c", CHILD, path])
        time.sleep(chance.uniform(0.3, 1.0) * seconds)
        child.send_signal(signal.SIGKILL)
        child.wait()
        # As SQLite finds it, with the write-ahead log: the file alone is not the database.
        found = dump(path)
        assert found == before or secretless(found) == after, f"seed {seed}, attempt {attempt}"
        migrate(path)
        assert secretless(dump(path)) == after, f"seed {seed}, attempt {attempt}"
        assert listed(path) == facts(number)


def secretless(lines: list[str]) -> list[str]:
    """Leave out what is encrypted, which differs each time."""
    return [line for line in lines if "aes256gcm:" not in line]

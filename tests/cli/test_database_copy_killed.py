"""A copy of a larger shop whose process is killed again and again, on either way."""

import asyncio
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from scripts.benchmarks.dashboard import START, seed
from tests.support.postgresql import PostgresqlServer
from tests.support.server import PROGRAM, environment
from tests.support.waiting import wait_until

SESSIONS = 10_000
ARRIVED = "SELECT COALESCE(SUM(row_count), 0) FROM arrived_tables"
DIGEST = re.compile(r"digest ([0-9a-f]{64})")
STEPS = ("Copying rows: (.*) of \\1 ", "Making indexes: (.*) of \\1 ")
ROWS_BETWEEN_KILLS = 6_000


@pytest.fixture
def url(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[str]:
    made = postgresql_server.empty_database(tmp_path)
    yield made.url
    postgresql_server.drop(made)


async def seeded(path: Path) -> None:
    async with await Database.open(path, lambda: START + timedelta(days=400)) as db:
        await seed(db, SESSIONS)


def copied_in_spite_of_kills(folder: Path, source: str, target: str, arrived: Callable[[], int]) -> tuple[str, int]:
    """Copy, and kill the process at more and more rows and after each step; return the digest, and the kills."""
    kills, waiting = 0, list(STEPS)
    while True:
        log = folder / f"copy-{kills}.log"
        limit = arrived() + ROWS_BETWEEN_KILLS
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*PROGRAM, "database", "copy"],
                cwd=folder,
                env=environment({"CHECKOUT__DATABASE__URL": source, "CHECKOUT_COPY_TO": target}),
                stdout=out,
                stderr=out,
            )

        def is_time(log: Path = log, limit: int = limit, process: subprocess.Popen[bytes] = process) -> bool:
            if process.poll() is not None or arrived() >= limit:
                return True
            return bool(waiting) and re.search(waiting[0], log.read_text("utf-8")) is not None

        try:
            wait_until(is_time, "copy")
            text = log.read_text("utf-8")
        finally:
            process.kill()
            code = process.wait()
        if waiting and re.search(waiting[0], text):
            waiting.pop(0)
        if code == 0:
            return DIGEST.findall(text)[0], kills
        assert "Error" not in text, text
        kills += 1


@pytest.mark.heavy
@pytest.mark.usefixtures("every_migration")
def test_killed_again_and_again_it_still_brings_every_row_there_and_back(tmp_path: Path, url: str) -> None:
    path, back = tmp_path / "checkout-data" / "checkout.db", tmp_path / "back" / "checkout.db"
    migrate(path)
    asyncio.run(seeded(path))

    def arrived_there() -> int:
        with suppress(psycopg.Error), psycopg.connect(url) as session:
            row = session.execute(ARRIVED).fetchone()
            return 0 if row is None else int(row[0])
        return 0

    def arrived_back() -> int:
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"{back.as_uri()}?mode=ro", uri=True)) as file:
            return int(file.execute(ARRIVED).fetchone()[0])
        return 0

    there, kills = copied_in_spite_of_kills(tmp_path, "", url, arrived_there)
    assert kills >= 5
    again, kills = copied_in_spite_of_kills(tmp_path, url, "back/checkout.db", arrived_back)
    assert kills >= 5
    assert there == again
    with closing(sqlite3.connect(path)) as before, closing(sqlite3.connect(back)) as after:
        for table in ("checkout_sessions", "payments", "events"):
            sql = f"SELECT * FROM {table} ORDER BY seq"  # noqa: S608 - names of the test
            assert before.execute(sql).fetchall() == after.execute(sql).fetchall()

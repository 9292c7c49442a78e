"""Numbered units of work, and a process that writes them until it is killed.

Each unit takes the next index of a wallet, as a session does, and stores it in two tables. So a lost unit is a gap, a
half one a row without its other, and one that was undone after its answer a number without a row.

    python -m tests.support.kill_writer DATABASE [FOLDER]

With a folder, DATABASE is the URL of a database on a PostgreSQL server.

It prints "open" once it can write, and then the number of each unit after `Database.write` returned it.
"""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from crypto_checkout.core import ids
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.place import DatabaseServer

WALLET = "0123456789abcdef"
WRITERS = 16
OTHERS = (3,)
"""Those of the writers whose units aren't quick: so groups are of either kind."""


def take_index(unit: WriteUnit) -> int:
    """Store one unit and return its number."""
    row = unit.one(
        "INSERT INTO wallets (wallet_id, next_index) VALUES (:wallet, 1)"
        " ON CONFLICT (wallet_id) DO UPDATE SET next_index = wallets.next_index + 1"
        " RETURNING next_index - 1",
        {"wallet": WALLET},
    )
    assert row is not None
    index: int = row[0]
    unit.event_id = unit.new_id(ids.EVENT)
    unit.run(
        "INSERT INTO events (id, livemode, type, resource_id, body, created_at)"
        " VALUES (:id, 0, 'session.created', :index, :body, :now)",
        {"id": unit.event_id, "index": str(index), "body": "{}" * 200, "now": unit.now_text},
    )
    unit.run(
        "INSERT INTO blocks (chain_id, number, hash, time) VALUES (1, :index, :hash, :now)",
        {"index": index, "hash": f"0x{index:064x}", "now": unit.now_text},
    )
    return index


def stored(path: Path) -> int:
    """Return how many units are stored, after a proof that none is damaged, half there, missing or there twice."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        next_index = connection.execute("SELECT COALESCE(SUM(next_index), 0) FROM wallets").fetchone()[0]
        events = connection.execute("SELECT CAST(resource_id AS INTEGER) FROM events ORDER BY 1").fetchall()
        blocks = connection.execute("SELECT number FROM blocks ORDER BY 1").fetchall()
    assert events == blocks == [(index,) for index in range(next_index)]
    return int(next_index)


def killed_after(answers: int, *place: str) -> list[int]:
    """Run a writer, kill it after so many answers, and return all that it gave; `place` is what it takes."""
    command = [sys.executable, "-m", "tests.support.kill_writer", *place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            lines = [writer.stdout.readline() for _ in range(1 + answers)]
        finally:
            writer.kill()
        lines += writer.stdout.readlines()
    assert lines[0] == "open\n"
    return [int(line) for line in lines[1:] if line.endswith("\n")]


async def write_until_killed(place: Path | DatabaseServer) -> None:
    async def write_on(*, quick: bool) -> None:
        while True:
            index = await db.write(take_index, quick=quick)
            sys.stdout.write(f"{index}\n")
            sys.stdout.flush()

    async with await Database.open(place, lambda: datetime.now(UTC), serves=True) as db, asyncio.TaskGroup() as writers:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        for number in range(WRITERS):
            writers.create_task(write_on(quick=number not in OTHERS))


if __name__ == "__main__":
    asyncio.run(
        write_until_killed(DatabaseServer(sys.argv[1], Path(sys.argv[2])) if sys.argv[2:] else Path(sys.argv[1]))
    )

"""A PostgreSQL database of several processes that was restored, or may have been, while a process was down."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.upkeep import leader
from tests.support.api import PRICE, App, made, open_app
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import until


@pytest.fixture
async def database(postgresql_server: PostgresqlServer, tmp_path: Path) -> AsyncIterator[DatabaseServer]:
    made = postgresql_server.new_database(tmp_path)
    yield made
    postgresql_server.drop(made)


def section(database: DatabaseServer, folder: Path) -> dict[str, Any]:
    return {"url": database.url, "path": folder / "checkout.db"}


async def has_reported(app: App) -> bool:
    return await app.opened.db.read(leader.reports) > 0


async def sell(app: App) -> None:
    await made(app.api, "/checkout_sessions", PRICE)
    await until(lambda: has_reported(app), "the first report of the leader")


def execute(database: DatabaseServer, sql: str) -> Any:
    with psycopg.connect(database.url) as session:
        cursor = session.execute(sql.encode())
        return cursor.fetchone() if cursor.description else None


async def test_a_start_in_doubt_that_fails_again_and_again_passes_addresses_over_once(
    database: DatabaseServer, tmp_path: Path
) -> None:
    async with open_app(tmp_path, database=section(database, tmp_path)) as app:
        await sell(app)
    execute(database, """UPDATE leader SET seen = '{"number": 10000}'""")
    (state,) = execute(database, "SELECT state FROM sandbox")
    execute(database, "UPDATE sandbox SET state = '{}'")
    after = []
    for _ in range(3):
        with pytest.raises(KeyError):
            async with open_app(tmp_path, database=section(database, tmp_path)):
                pass
        after.append(execute(database, "SELECT next_index FROM wallets"))
    assert after[0][0] > 1_000
    assert after == [after[0]] * 3
    execute(database, f"UPDATE sandbox SET state = '{state}'")
    async with open_app(tmp_path, database=section(database, tmp_path)) as app:
        await sell(app)
        indexes = await app.opened.db.read(wallets.next_indexes)
    assert [*indexes.values()] == [after[0][0] + 1]

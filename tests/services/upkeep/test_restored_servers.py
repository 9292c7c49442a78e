"""A PostgreSQL database of several processes that was restored, or may have been, while a process was down."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from functools import partial
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
    new = postgresql_server.new_database(tmp_path)
    yield new
    postgresql_server.drop(new)


def section(database: DatabaseServer, folder: Path) -> dict[str, Any]:
    return {"url": database.url, "path": folder / "checkout.db"}


async def has_reported(app: App) -> bool:
    return await app.opened.db.read(leader.reports) > 0


async def sell(app: App) -> str:
    """Sell something, once the leader has reported; return the address."""
    await until(lambda: has_reported(app), "the first report of the leader")
    return str((await made(app.api, "/checkout_sessions", PRICE))["address"])


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
    execute(database, "UPDATE sandbox SET state = concat('[', state, ']')")
    after = []
    for _ in range(3):
        with pytest.raises(TypeError):
            async with open_app(tmp_path, database=section(database, tmp_path)):
                pass
        after.append(execute(database, "SELECT next_index FROM wallets"))
    assert after[0][0] > 1_000
    assert after == [after[0]] * 3
    execute(database, "UPDATE sandbox SET state = btrim(state, '[]')")
    async with open_app(tmp_path, database=section(database, tmp_path)) as app:
        await sell(app)
        indexes = await app.opened.db.read(wallets.next_indexes)
    assert [*indexes.values()] == [after[0][0] + 1]


async def test_a_database_that_was_restored_to_the_moment_at_which_a_process_went_down_is_not_trusted_by_it(
    postgresql_server: PostgresqlServer, database: DatabaseServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process gave addresses out since, which no record of this one knows of."""
    one, two, dump = tmp_path / "one", tmp_path / "two", tmp_path / "dump"
    for each in (one, two):
        each.mkdir()
    async with open_app(one, database=section(database, one)) as app:
        await sell(app)
    run = partial(subprocess.run, check=True, capture_output=True)
    run([postgresql_server.programs / "pg_dump", "--format", "custom", "--file", dump, database.url])
    shutil.copy2(one / "secret.key", two)
    given = set()
    async with open_app(two, database=section(database, two)) as app:
        for _ in range(3):
            given.add(await sell(app))
    run([postgresql_server.programs / "pg_restore", "--clean", "--if-exists", "--dbname", database.url, dump])
    capsys.readouterr()
    async with open_app(one, database=section(database, one)) as app:
        given.add(await sell(app))
        assert "was restored or has failed over" in capsys.readouterr().out
    assert len(given) == 4
    async with open_app(one, database=section(database, one)):
        assert "was restored or has failed over" not in capsys.readouterr().out


async def test_a_process_that_was_down_trusts_a_database_that_others_used_for_a_moment(
    database: DatabaseServer, tmp_path: Path
) -> None:
    """As where one after another is stopped, and the first is started first."""
    one, two = tmp_path / "one", tmp_path / "two"
    for each in (one, two):
        each.mkdir()
    async with open_app(one, database=section(database, one)) as app:
        await sell(app)
        shutil.copy2(one / "secret.key", two)
        async with open_app(two, database=section(database, two)) as second:
            await sell(second)
            indexes = await second.opened.db.read(wallets.next_indexes)
    async with open_app(one, database=section(database, one)) as app:
        assert await app.opened.db.read(wallets.next_indexes) == indexes

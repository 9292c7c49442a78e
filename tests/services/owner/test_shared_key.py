"""The key that all processes of one database on a server encrypt with."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_checkout.core.errors import FatalError
from crypto_checkout.services.owner import shared_key
from crypto_checkout.store.database import Database
from crypto_checkout.store.place import DatabaseServer
from tests.support.postgresql import PostgresqlServer


@pytest.fixture
def server(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[DatabaseServer]:
    made = postgresql_server.new_database(tmp_path)
    yield made
    postgresql_server.drop(made)


@asynccontextmanager
async def process(server: DatabaseServer, folder: Path) -> AsyncIterator[Database]:
    """Open the database with a folder of its own."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - of a test
    async with await Database.open(DatabaseServer(server.url, folder), lambda: datetime.now(UTC), serves=True) as db:
        yield db


async def test_the_first_process_makes_the_key_and_the_others_need_the_same(
    server: DatabaseServer, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with process(server, one) as db:
        await shared_key.check(db)
        async with process(server, two) as other:
            with pytest.raises(FatalError, match=r"secret\.key is missing\. Copy secret\.key from"):
                await shared_key.check(other)
            assert not (two / "secret.key").exists(), "none is made"
            with pytest.raises(FatalError, match="stop them first"):
                await shared_key.check(other, accept_another=True)
        shutil.copy(one / "secret.key", two)
        async with process(server, two) as other:
            await shared_key.check(other)


async def test_a_key_that_only_reads_what_others_write_is_not_enough(server: DatabaseServer, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with process(server, one) as db:
        await shared_key.check(db)
    two.mkdir()
    (two / "secret.key").write_text("A" * 43 + "=\n" + (one / "secret.key").read_text("ascii"), "ascii")
    async with process(server, two) as other:
        with pytest.raises(FatalError, match="another key"):
            await shared_key.check(other)


async def test_a_key_that_was_lost_everywhere_is_replaced_when_the_owner_says_so(
    server: DatabaseServer, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with process(server, one) as db:
        await shared_key.check(db)
    async with process(server, two) as other:
        await shared_key.check(other, accept_another=True)
    async with process(server, two) as other:
        await shared_key.check(other)
    async with process(server, one) as db:
        with pytest.raises(FatalError, match="another key"):
            await shared_key.check(db)

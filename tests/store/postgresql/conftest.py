"""Fixtures of the tests of the engine: a database on the server of all tests, and the same opened."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crypto_checkout.app.clock import system_clock
from crypto_checkout.store.database import Database
from crypto_checkout.store.place import DatabaseServer
from tests.support.postgresql import PostgresqlServer


@pytest.fixture
def server(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[DatabaseServer]:
    """Make a migrated database."""
    made = postgresql_server.new_database(tmp_path)
    yield made
    postgresql_server.drop(made)


@pytest.fixture
async def db(server: DatabaseServer) -> AsyncIterator[Database]:
    async with await Database.open(server, system_clock) as opened:
        yield opened

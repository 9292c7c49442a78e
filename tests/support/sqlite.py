"""The connections of an open SQLite database, for tests that watch or disturb them."""

from collections.abc import Callable
from typing import Any

import aiosqlite

from crypto_checkout.store.database import Database
from crypto_checkout.store.sqlite import engine


def writer(db: Database) -> aiosqlite.Connection:
    """Return the connection that writes."""
    assert isinstance(db._engine, engine.SqliteEngine)
    return db._engine._writer


async def on_writers_thread(db: Database, work: Callable[..., Any]) -> Any:
    """Run a function with the raw connection that writes, on its thread."""
    return await engine._on_thread(writer(db), work)

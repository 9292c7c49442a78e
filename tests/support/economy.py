"""What all tests in a process share or do without, because a machine spends most of its time on it.

Each test opens its own application, which in a server happens once: it migrates a new database, reads a few hundred
certificate authorities and compiles templates. Clients of HTTP read the authorities as well, and some tests make
hundreds of clients. None of it depends on the test.
"""

import logging
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import argon2
import httpcore
import httpx
import jinja2
import pytest
import structlog
from jinja2.bccache import Bucket

from crypto_checkout.http import templating
from crypto_checkout.store import migrate
from crypto_checkout.store.migrate import Migration
from crypto_checkout.store.secret_key import open_cipher

BRING_UP_TO_DATE = migrate._bring_up_to_date
"""Apply migration after migration, each with its own fsyncs."""

FULL_COSTS = argon2.PasswordHasher.__init__.__defaults__ or ()
"""The defaults of argon2-cffi: time, KiB of memory, lanes, and what follows."""

LEAST_COSTS = (1, 8, 1, *FULL_COSTS[3:])
"""The cheapest hash that argon2 makes. A hash names its own costs, so both kinds are read alike."""

LOG_PROCESSORS: list[structlog.typing.Processor] = [
    *structlog.get_config()["processors"][:-1],
    structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
]
"""Structlog's defaults with plain tracebacks: one in colours, with all variables, takes longer than most tests."""


class CompiledTemplates(jinja2.BytecodeCache):
    """Compiled templates, kept in memory by their name and text."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], types.CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._code[bucket.key, bucket.checksum] = bucket.code


class MigratedOnce:
    """What the migrations make of no database: made once for each list of migrations, then copied."""

    def __init__(self) -> None:
        self._made: dict[tuple[Migration, ...], bytes] = {}

    def __call__(self, path: Path) -> list[Migration]:
        """Bring a database up to date: a new one by a copy, any other by its migrations."""
        if path.stat().st_size:
            return BRING_UP_TO_DATE(path)
        known = migrate.migrations()
        made = self._made.get(tuple(known))
        if made is None:
            made = self._made[tuple(known)] = _migrated()
        open_cipher(path.parent)
        path.write_bytes(made)
        return known


def _migrated() -> bytes:
    """Return the bytes of a new database."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        path.touch()
        BRING_UP_TO_DATE(path)
        return path.read_bytes()


def log_plainly() -> None:
    """Log as structlog does before anything configures it, every line of ours and with plain tracebacks."""
    structlog.configure(processors=LOG_PROCESSORS)
    logging.getLogger("crypto_checkout").setLevel(logging.DEBUG)


@contextmanager
def economising() -> Iterator[None]:
    """Share and save in this process."""
    compiled, environment = CompiledTemplates(), templating.environment

    def environment_with_compiled() -> jinja2.Environment:
        made = environment()
        made.bytecode_cache = compiled
        return made

    with pytest.MonkeyPatch.context() as patch:
        log_plainly()
        patch.setattr(argon2.PasswordHasher.__init__, "__defaults__", LEAST_COSTS)
        patch.setattr(httpcore, "default_ssl_context", cache(httpcore.default_ssl_context))
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        patch.setattr(templating, "environment", environment_with_compiled)
        patch.setattr(migrate, "migrations", cache(migrate.migrations))
        patch.setattr(migrate, "_bring_up_to_date", MigratedOnce())
        yield

"""Fixtures of every room: the event loop, the application and the real node.

A test that asks for `anvil` or `chromium_path` is marked `anvil` or `browser` (see `tests.support.marks`). Without the
program it is skipped with the reason; CHECKOUT_REQUIRE=anvil,browser,solc makes it fail instead, so that continuous
integration can't pass for want of a tool.
"""

import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

import argon2
import httpx
import hypothesis
import pytest
import structlog

from crypto_checkout.http.rate_limit import RateLimit
from crypto_checkout.store import migrate
from tests.support import anvil as node
from tests.support import chromium, economy, postgresql, solidity
from tests.support.api import App, RateClock, open_app
from tests.support.marks import has_database, marks

Tool = TypeVar("Tool")

# An example's time says something about the machine, and nothing about the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

SLOWEST = ("browser", "anvil", "process")


ON_BOTH_ENGINES = tuple(
    Path("tests", *each.split("/"))
    for each in (
        "store",
        "services/checkout",
        "services/ledger",
        "services/refunds",
        "services/webhooks",
        "http/api",
        "http/dashboard/test_guide.py",
    )
)
"""Where engines can differ: with `--engine both`, what has a database there runs once on each."""

HEAVY_ON_POSTGRESQL = tuple(
    Path("tests", "http", "api", f"test_{each}.py") for each in ("schemathesis", "typescript_client")
)
"""Among these, long tests of the API rather than the engine: with `--engine both`, their second run is heavy."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=("sqlite", "postgresql", "both"),
        default="sqlite",
        help="the engine of the tests' databases; both: SQLite, and PostgreSQL too where the two can differ",
    )


class ModuleOnPostgresql(pytest.Module):
    """A module of tests whose databases are a PostgreSQL server's."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect a module once more, as `test_it.py[postgresql]`: its fixtures are apart from those on SQLite."""
    engine = parent.config.getoption("--engine")
    place = file_path.relative_to(parent.config.rootpath)
    is_wanted = engine == "postgresql" or (engine == "both" and any(map(place.is_relative_to, ON_BOTH_ENGINES)))
    if not is_wanted or not fnmatch(file_path.name, "test_*.py"):
        return None
    made: pytest.Module = ModuleOnPostgresql.from_parent(
        parent, path=file_path, name=f"{file_path.name}[postgresql]", nodeid=f"{place.as_posix()}[postgresql]"
    )
    return made


def pytest_itemcollected(item: pytest.Item) -> None:
    for mark in marks(item):
        item.add_marker(mark)
    place = item.path.relative_to(item.config.rootpath)
    if (
        item.config.getoption("--engine") == "both"
        and item.getparent(ModuleOnPostgresql)
        and place in HEAVY_ON_POSTGRESQL
    ):
        item.add_marker("heavy")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the slowest files: on several cores none of them is left for the end, when the others have nothing.

    On a server the tests of SQLite itself are left out, and with both engines those without a database too.
    """
    wanted = [is_wanted(item, config.getoption("--engine")) for item in items]
    config.hook.pytest_deselected(items=[item for item, is_kept in zip(items, wanted, strict=True) if not is_kept])
    items[:] = [item for item, is_kept in zip(items, wanted, strict=True) if is_kept]
    ranks: dict[str, int] = {}
    for item in items:
        rank = next((place for place, mark in enumerate(SLOWEST) if item.get_closest_marker(mark)), len(SLOWEST))
        ranks[file_of(item)] = min(rank, ranks.get(file_of(item), rank))
    items.sort(key=lambda item: ranks[file_of(item)])


def is_wanted(item: pytest.Item, engine: str) -> bool:
    """Tell whether a test runs on the engine of its module."""
    if item.getparent(ModuleOnPostgresql) is None:
        return engine != "postgresql"
    return not item.get_closest_marker("sqlite") and (engine == "postgresql" or has_database(item))


def file_of(item: pytest.Item) -> str:
    """Return the file of a test, with the engine where it is one more."""
    return item.nodeid.partition("::")[0]


@pytest.fixture(scope="session", autouse=True)
def _economies() -> Iterator[None]:
    with economy.economising():
        yield


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.PostgresqlServer]:
    """Start a PostgreSQL server for all tests of this process."""
    reason = "there is no PostgreSQL: apt-get install postgresql"
    server = postgresql.PostgresqlServer(found("postgresql", postgresql.find(), reason))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module", autouse=True)
def _engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Make the databases of a module's tests on its engine."""
    if not isinstance(request.node, ModuleOnPostgresql):
        yield
        return
    databases = postgresql.DatabasesInPlaceOfFiles(request.getfixturevalue("postgresql_server"))
    with databases.in_place():
        yield
    databases.drop()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a command that ran in this process did to the logging: most silence it, and loggers remember that."""
    yield
    if structlog.get_config()["processors"] is not economy.LOG_PROCESSORS:
        structlog.reset_defaults()
        economy.log_plainly()
        logging.getLogger().handlers.clear()
        for name, module in list(sys.modules.items()):
            if name.startswith("crypto_checkout.") and (log := getattr(module, "log", None)) is not None:
                vars(log).pop("bind", None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def still_rate_limits(monkeypatch: pytest.MonkeyPatch) -> RateClock:
    """Have every rate limit give nothing back: a slow machine would take long enough for a few more requests."""
    clock = RateClock()
    defaults = RateLimit.__init__.__kwdefaults__ or {}
    monkeypatch.setattr(RateLimit.__init__, "__kwdefaults__", {**defaults, "clock": clock})
    return clock


@pytest.fixture
def full_cost_of_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as a server does."""
    monkeypatch.setattr(argon2.PasswordHasher.__init__, "__defaults__", economy.FULL_COSTS)


@pytest.fixture
def every_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each new database by its migrations, as a server does."""
    monkeypatch.setattr(migrate, "_bring_up_to_date", economy.BRING_UP_TO_DATE)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """Open the real application, with test mode only."""
    async with open_app(tmp_path) as running:
        yield running


@pytest.fixture
def api(app: App) -> httpx.AsyncClient:
    """Give a client of the API with a test key that may do everything."""
    return app.api


@pytest.fixture(scope="session")
def anvil_path() -> Path:
    return found("anvil", node.find(), "there is no anvil: scripts/anvil brings it, or name it in CHECKOUT_ANVIL")


@pytest.fixture(scope="session")
def solc() -> solidity.Compiler:
    return found("solc", solidity.find(), "there is no solc with Node.js: scripts/anvil brings it")


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    reason = "there is no chromium: apt-get install chromium-headless-shell, or name it in CHECKOUT_CHROMIUM"
    return found("browser", chromium.find(), reason)


@pytest.fixture
def anvil(anvil_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., node.Anvil]]:
    """Start real nodes: `anvil()`, `anvil(mining="manual")`, `anvil(mining=2)`. They end with the test."""
    with ExitStack() as nodes:

        def start(**options: Any) -> node.Anvil:
            folder = tmp_path_factory.mktemp("anvil")
            nodes.callback(shutil.rmtree, folder, ignore_errors=True)  # hundreds of megabytes of chain, maybe in memory
            return nodes.enter_context(node.Anvil(anvil_path, folder, **options))

        yield start


def found(what: str, path: Tool | None, reason: str) -> Tool:
    """Return the path; without one end the test: skipped, or failed when CHECKOUT_REQUIRE names what is missing."""
    if path is not None:
        return path
    if what in os.environ.get("CHECKOUT_REQUIRE", "").split(","):
        pytest.fail(f"{reason} (CHECKOUT_REQUIRE names {what})", pytrace=False)
    pytest.skip(reason)

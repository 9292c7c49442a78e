"""What tests of every room share: the event loop, the application, the real node and the real browser.

A test that asks for `anvil` or `chromium_path` is marked `anvil` or `browser`, so `-m "not browser"` leaves it out.
Without the program it is skipped and says why; CHECKOUT_REQUIRE=anvil,browser,solc makes it fail instead, so that
continuous integration can't be green for want of a tool.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import hypothesis
import pytest

from tests.support import anvil as node
from tests.support import solidity
from tests.support.api import App, open_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
Tool = TypeVar("Tool")

# An example's time says something about the machine, and nothing about the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

MARKS = {"anvil_path": "anvil", "chromium_path": "browser"}


def pytest_itemcollected(item: pytest.Item) -> None:
    for fixture, mark in MARKS.items():
        if fixture in getattr(item, "fixturenames", ()):
            item.add_marker(mark)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


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
    named = os.environ.get("CHECKOUT_CHROMIUM")
    on_path = named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    reason = "there is no chromium: apt-get install chromium, or name it in CHECKOUT_CHROMIUM"
    return found("browser", Path(on_path) if on_path else None, reason)


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator["Browser"]:
    """Start a real browser; it is quiet on the network."""
    from playwright.sync_api import sync_playwright

    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", *quiet])
        yield chromium
        chromium.close()


@pytest.fixture
def anvil(anvil_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., node.Anvil]]:
    """Start real nodes: `anvil()`, `anvil(mining="manual")`, `anvil(mining=2)`. They end with the test."""
    with ExitStack() as nodes:

        def start(**options: Any) -> node.Anvil:
            return nodes.enter_context(node.Anvil(anvil_path, tmp_path_factory.mktemp("anvil"), **options))

        yield start


def found(what: str, path: Tool | None, reason: str) -> Tool:
    """Return the path; without one end the test: skipped, or failed when CHECKOUT_REQUIRE names what is missing."""
    if path is not None:
        return path
    if what in os.environ.get("CHECKOUT_REQUIRE", "").split(","):
        pytest.fail(f"{reason} (CHECKOUT_REQUIRE names {what})", pytrace=False)
    pytest.skip(reason)

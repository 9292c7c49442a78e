"""One browser for the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.support import chromium
from tests.support.waiting import WAIT_SECONDS

# A page that takes longer than this is broken, not slow.
expect.set_options(timeout=1000 * WAIT_SECONDS)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium_path: Path) -> Iterator[Browser]:
    running = chromium.launch(playwright, chromium_path)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _hangs_are_told(request: pytest.FixtureRequest) -> Iterator[None]:
    with chromium.ended_when_it_hangs(request.node.nodeid):
        yield

"""One browser for all tests of pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")

# A page that takes longer than this is broken, not slow.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def browser(chromium_path: Path) -> Iterator[Browser]:
    """Start a browser that asks for nothing by itself."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", *QUIET])
        yield chromium
        chromium.close()

"""The documentation in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.http.docs.test_pages import PAGES
from tests.support.accessibility import too_wide
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop")) as running:
        yield running


def test_pages_fit_narrow_screens_and_can_be_walked_by_keyboard(server: Server, browser: Browser) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for path in PAGES:
        page.goto(server.url + path)
        assert too_wide(page) == [], path
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
        # Code that is cut off can be scrolled without a mouse.
        assert page.evaluate("[...document.querySelectorAll('pre')].every((each) => each.tabIndex === 0)")
    assert said == []
    page.close()

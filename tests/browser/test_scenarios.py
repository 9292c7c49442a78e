"""The buttons of a test session's page, pressed in a real browser on a real server."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.test_checkout import ask, url_of
from tests.support.server import Server

ENDS = {
    "pay": ("detected paid", "paid"),
    "underpaid": ("underpaid", "underpaid"),
    "overpaid": ("detected overpaid", "overpaid"),
    "late": ("expired detected paid_late", "paid_late"),
    "reorged": ("detected reorged detected paid", "paid"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("buttons")) as running:
        yield running


def events_of(server: Server, session: dict[str, Any]) -> str:
    events = server.api.get("/events", params={"resourceId": session["id"]}).json()["data"]
    return " ".join(event["type"].removeprefix("session.") for event in reversed(events[:-1]))


def status_of(server: Server, session: dict[str, Any]) -> str:
    return str(server.api.get(f"/checkout_sessions/{session['id']}").json()["status"])


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
@pytest.mark.parametrize("button", ENDS)
def test_a_button_drives_the_session_to_its_end(server: Server, browser: Browser, button: str, scripts: bool) -> None:
    session = ask(server)
    context = browser.new_context(viewport={"width": 390, "height": 800}, java_script_enabled=scripts)
    page = context.new_page()
    page.goto(url_of(server, session))
    before = page.get_by_role("main").inner_text()
    page.locator(f"#test-{button}").click()
    page.wait_for_url(url_of(server, session))
    events, status = ENDS[button]
    server.wait_until(lambda: status_of(server, session) == status, "settle the session")
    assert events_of(server, session) == events
    page.reload()
    assert page.get_by_role("main").inner_text() != before
    if status in {"paid", "paid_late"}:
        assert page.locator("#test-pay").count() == 0
    context.close()


def test_a_button_is_pressed_with_the_keyboard(server: Server, browser: Browser) -> None:
    session = ask(server)
    page = browser.new_page()
    page.goto(url_of(server, session))
    page.locator("#test-underpaid").focus()
    page.keyboard.press("Enter")
    server.wait_until(lambda: status_of(server, session) == "underpaid", "settle the session")
    page.close()

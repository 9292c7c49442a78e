"""Choosing the network and the coin in a real browser, with scripts and without, on a real server."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_checkout import url_of
from tests.support.accessibility import too_wide, violations
from tests.support.server import Server

ASSETS = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop"), environ={"CHECKOUT__BRANDING__NAME": "Ada's Bakery"}) as running:
        yield running


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=request.param, viewport={"width": 390, "height": 800})
    yield context.new_page()
    context.close()


def ask(server: Server) -> dict[str, Any]:
    body = {"amount": {"value": "49.90", "currency": "USD"}, "assets": ASSETS}
    made: dict[str, Any] = server.api.post("/checkout_sessions", json=body).raise_for_status().json()
    return made


def look(server: Server, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = server.api.get(f"/checkout_sessions/{session_id}").json()
    return found


def test_a_payer_chooses_changes_the_choice_and_pays(server: Server, page: Page) -> None:
    link = {"title": "Coffee", "fiatAmount": "3.50", "assets": ASSETS}
    made = server.api.post("/payment_links", json=link).raise_for_status().json()
    page.goto(f"{server.url}/l/{made['slug']}")
    session_id = page.url.rpartition("/")[2]
    session = look(server, session_id)
    main = page.get_by_role("main")
    expect(main).to_contain_text("Coffee")
    expect(page.get_by_role("heading", level=1)).to_contain_text("3.50 USD")
    assert session["address"] not in "".join(main.inner_text().split())
    assert page.locator(".qr").count() == 0
    page.get_by_role("button", name="ETH on Sandbox").click()
    expect(page.locator("#change-asset")).to_be_visible()
    page.wait_for_load_state()
    assert page.url == url_of(server, session)
    assert session["address"] in "".join(main.inner_text().split())
    assert look(server, session_id)["assetChosen"] is True
    page.locator("#change-asset").click()
    expect(main).to_contain_text("If you’ve already sent ETH, don’t change this.")
    page.get_by_role("button", name="USDC on Sandbox").click()
    expect(main).to_contain_text("3.5 USDC")
    page.goto(f"{server.url}/l/{made['slug']}")
    assert page.url == url_of(server, session)
    page.get_by_role("button", name="Pay with test money").click()
    server.wait_until(lambda: look(server, session_id)["status"] == "paid", "see the payment")
    page.goto(url_of(server, session))
    expect(main).to_contain_text("Payment complete")
    page.goto(f"{server.url}/l/{made['slug']}")
    assert page.url != url_of(server, session)


def test_the_last_choice_on_this_device_comes_first(server: Server, page: Page) -> None:
    choices = page.locator(".choices button")
    page.goto(url_of(server, ask(server)))
    expect(choices).to_have_text(["ETH on Sandbox", "USDC on Sandbox"])
    expect(page.get_by_text("You chose this last time")).to_have_count(0)
    page.get_by_role("button", name="USDC on Sandbox").click()
    expect(page.get_by_role("main")).to_contain_text("49.9 USDC")
    page.goto(url_of(server, ask(server)))
    expect(choices).to_have_text(["USDC on Sandbox", "ETH on Sandbox"])
    expect(choices.first).to_have_accessible_description(re.compile("^You chose this last time"))
    # Network and fee are read beside the page, which is opened again here, not waited for.
    page.reload()
    expect(choices.last).to_have_accessible_description(re.compile("Network fee: about 0.06 USD"))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_contain_text("49.9 USDC")


def test_a_choice_that_is_locked_says_why(server: Server, page: Page) -> None:
    session = ask(server)
    page.goto(url_of(server, session))
    page.get_by_role("button", name="USDC on Sandbox").click()
    change = f"{url_of(server, session)}/choose"
    page.goto(change)
    pay = f"/test_helpers/checkout_sessions/{session['id']}/pay"
    server.api.post(pay, json={"amount": "1"}).raise_for_status()
    page.get_by_role("button", name="ETH on Sandbox").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("can no longer be changed")
    page.get_by_role("link", name="Open the payment page").click()
    expect(page.get_by_role("main")).to_contain_text("48.9 USDC")


def test_by_keyboard_alone(server: Server, page: Page) -> None:
    session = ask(server)
    page.goto(url_of(server, session))
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_contain_text("49.9 USDC")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_nothing_is_wider_than_the_screen_and_nothing_is_refused(
    server: Server, browser: Browser, scheme: Any
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    session = ask(server)
    page.goto(url_of(server, session))
    assert too_wide(page) == []
    assert violations(page) == []
    page.get_by_role("button", name="ETH on Sandbox").click()
    page.locator("#change-asset").click()
    assert too_wide(page) == []
    assert violations(page) == []
    assert said == []
    context.close()

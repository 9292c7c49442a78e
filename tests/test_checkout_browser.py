"""The payer's page in a real browser, on a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.receiver import Receiver
from tests.server import Server

QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
WIDTHS = (320, 390, 1280)


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=[*QUIET, "--no-first-run"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environ = {"CHECKOUT__BRANDING__NAME": "Ada's Bakery"}
    with Server(tmp_path_factory.mktemp("shop"), environ=environ) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 390, "height": 800})
    yield opened
    opened.close()


def ask(server: Server, **more: Any) -> dict[str, Any]:
    body = {"amount": {"value": "49.90", "currency": "USD"}, **more}
    made: dict[str, Any] = server.api.post("/checkout_sessions", json=body).raise_for_status().json()
    return made


def url_of(server: Server, session: dict[str, Any]) -> str:
    return f"{server.url}/checkout/{session['id']}"


def test_the_page_says_what_to_send_where_and_for_how_long(server: Server, page: Page) -> None:
    session = ask(server)
    page.goto(url_of(server, session))
    expect(page.get_by_role("heading", level=1)).to_contain_text("49.90 USD")
    main = page.get_by_role("main")
    expect(main).to_contain_text(session["amount"]["value"])
    assert session["address"] in "".join(main.inner_text().split())
    assert page.get_by_role("link", name="Open in wallet").get_attribute("href") == session["paymentUri"]
    expect(main).to_contain_text("Time left")
    expect(main).to_contain_text("14:")
    expect(page.get_by_text("Ada's Bakery").first).to_be_visible()
    expect(page.get_by_text("Test mode").first).to_be_visible()


def test_the_page_follows_the_payment_by_itself_and_leads_back_to_the_shop(server: Server, page: Page) -> None:
    with Receiver() as shop:
        session = ask(server, successUrl=f"{shop.url}?order={{CHECKOUT_SESSION_ID}}")
        page.goto(url_of(server, session))
        paid = server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay").json()
        assert paid["status"] == "detected"
        expect(page.get_by_role("main")).to_contain_text("Thank you", timeout=15_000)
        back = page.get_by_role("link", name="Back to the shop")
        assert back.get_attribute("href") == f"{shop.url}?order={session['id']}"
        page.wait_for_url(f"{shop.url}?order={session['id']}", timeout=15_000)


def test_a_visit_to_a_link_pays_without_javascript(server: Server, browser: Browser) -> None:
    link = server.api.post("/payment_links", json={"title": "Coffee", "fiatAmount": "3.50"}).json()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}/l/{link['slug']}")
    expect(page.get_by_role("main")).to_contain_text("Coffee")
    session_id = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Pay with test money").click()
    assert page.url == f"{server.url}/checkout/{session_id}"
    server.wait_until(
        lambda: server.api.get(f"/checkout_sessions/{session_id}").json()["status"] == "paid", "see the payment"
    )
    page.reload()
    expect(page.get_by_role("main")).to_contain_text("Thank you")
    context.close()


def test_a_partial_payment_leaves_the_page_asking_for_the_rest(server: Server, page: Page) -> None:
    session = ask(server)
    server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"amount": "0.01"}).raise_for_status()
    page.goto(url_of(server, session))
    missing = server.api.get(f"/checkout_sessions/{session['id']}").json()["amountRemaining"]["value"]
    expect(page.get_by_role("main")).to_contain_text(missing)


def test_nothing_comes_from_elsewhere_and_nothing_is_refused_by_the_policy(server: Server, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(url_of(server, ask(server)))
    page.wait_for_load_state("networkidle")
    assert asked
    assert all(url.startswith((server.url, "data:")) for url in asked)
    assert said == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(server: Server, browser: Browser, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 700})
    for body in ({}, {"asset": "USDC"}):
        page.goto(url_of(server, ask(server, **body)))
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


def test_the_keyboard_reaches_everything_that_can_be_done(server: Server, page: Page) -> None:
    page.goto(url_of(server, ask(server, cancelUrl="http://127.0.0.1:9/cart")))
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.innerText || '').trim().split('\\n')[0]"))
    assert {"Pay with test money", "Open in wallet"} <= reached
    assert any(text.startswith("Copy") for text in reached)
    assert any("ancel" in text for text in reached)


def test_an_unknown_session_and_an_inactive_link_say_so_on_a_page(server: Server, page: Page) -> None:
    answer = page.goto(f"{server.url}/checkout/cs_nothing")
    assert answer is not None
    assert answer.status == 404
    assert "text/html" in answer.headers["content-type"]
    off = server.api.post("/payment_links", json={"title": "Tea", "fiatAmount": "2", "active": False}).json()
    answer = page.goto(f"{server.url}/l/{off['slug']}")
    assert answer is not None
    assert answer.status == 400
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_the_bare_address_and_unknown_pages_are_answered_for_people(server: Server, page: Page) -> None:
    front = page.goto(server.url)
    assert front is not None
    assert front.status == 200
    expect(page.get_by_role("main")).to_contain_text("Ada's Bakery")
    missing = page.goto(f"{server.url}/nothing/here")
    assert missing is not None
    assert missing.status == 404
    assert "text/html" in missing.headers["content-type"]
    plain = server.client(None).get(f"{server.url}/nothing/here")
    assert plain.json()["error"]["code"] == "route_not_found"


def test_assets_are_cached_for_good_and_pages_never(server: Server, page: Page) -> None:
    kept: dict[str, str] = {}
    page.on("response", lambda response: kept.update({response.url: response.headers.get("cache-control", "")}))
    page.goto(url_of(server, ask(server)))
    page.wait_for_load_state("networkidle")
    assets = [value for url, value in kept.items() if "/static/" in url]
    assert assets
    assert all("immutable" in value for value in assets)
    assert kept[page.url] == "no-store"

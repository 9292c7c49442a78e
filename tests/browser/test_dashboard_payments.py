"""The pages about payments in a real browser: by keyboard, without JavaScript, at 320 px, in the dark, and by axe."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.accessibility import too_wide, violations
from tests.support.api import LINK, PRICE
from tests.support.dashboard import signed_in_page
from tests.support.receiver import Receiver
from tests.support.server import Server

SCENARIOS = ("exact", "underpaid", "overpaid", "after_grace", "reorged_after_paid", "wrong_token")
EMAIL = "a.rather.long.address.of.somebody@a-rather-long-host-name.example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop")) as running:
        yield running


def make(server: Server, **more: Any) -> dict[str, Any]:
    answer = server.api.post("/checkout_sessions", json={**PRICE, **more})
    assert answer.is_success, answer.text
    made: dict[str, Any] = answer.json()
    return made


def play(server: Server, scenario: str, **more: Any) -> dict[str, Any]:
    made = make(server, **more)
    path = f"/test_helpers/checkout_sessions/{made['id']}/pay"
    assert server.api.post(path, json={"scenario": scenario}).is_success
    return made


@pytest.fixture(scope="module")
def paths(server: Server) -> Iterator[dict[str, str]]:
    """Fill the shop with one payment of each kind; return the paths of all pages about them."""
    with Receiver() as shop:
        assert server.api.post("/webhook_endpoints", json={"url": shop.url, "events": ["*"]}).is_success
        link = server.api.post("/payment_links", json={**LINK, "title": "A loaf of bread " * 6}).json()
        waiting = server.api.post("/checkout_sessions", json={"linkId": link["id"]}).json()
        notes = {"order": "1042", "a rather long name of a note": "x" * 200}
        played = {each: play(server, each, metadata=notes, customerEmail=EMAIL) for each in SCENARIOS}
        customer = server.api.get("/customers").json()["data"][0]["id"]
        event = server.api.get("/events", params={"type": "session.paid"}).json()["data"][0]["id"]
        paid = server.api.get(f"/checkout_sessions/{played['exact']['id']}").json()
        assert server.api.post(f"/test_helpers/checkout_sessions/{paid['id']}/collect").is_success
        yield {
            "list": "/payments",
            "nothing found": "/payments?q=nothing",
            "unmatched": "/payments/unmatched",
            "waiting": f"/payments/{waiting['id']}",
            **{each: f"/payments/{made['id']}" for each, made in played.items()},
            "looked up": f"/payments/{waiting['id']}/look-up?transaction={paid['txHash']}",
            "customers": "/customers",
            "balances": "/balances",
            "collections": "/balances/collections",
            "customer": f"/customers/{customer}",
            "events": "/events",
            "event": f"/events/{event}",
        }


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (320, True)])
def test_axe_finds_nothing_and_every_filled_page_fits(
    server: Server, browser: Browser, paths: dict[str, str], width: int, dark: bool
) -> None:
    page = signed_in_page(server, browser, width=width, dark=dark)
    for name, path in paths.items():
        page.goto(f"{server.url}/dashboard/test{path}")
        page.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")
        assert violations(page) == [], name
        assert too_wide(page) == [], name
        page.set_viewport_size({"width": width, "height": 900})
    page.context.close()


@pytest.mark.parametrize("javascript", [True, False], ids=["with javascript", "without javascript"])
def test_a_payment_is_searched_for_looked_at_checked_and_accepted(
    server: Server, browser: Browser, javascript: bool
) -> None:
    order = f"order of {javascript}"
    short = play(server, "underpaid", metadata={"order": order})
    page = signed_in_page(server, browser, width=390, javascript=javascript)
    page.goto(f"{server.url}/dashboard/test/payments")
    page.get_by_label("Search").fill(order)
    page.get_by_label("Status").select_option(label="Underpaid")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("1 payment.")).to_be_visible()
    page.get_by_role("link", name="30.00 USD").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment of 30.00 USD")
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_role("status").first).to_contain_text("Checked Sandbox up to block")
    page.get_by_text("Accept…", exact=True).click()
    assert status_of(server, short) == "underpaid"
    page.get_by_role("button", name="Accept payment").click()
    expect(page.get_by_role("status").first).to_contain_text("Accepted")
    assert status_of(server, short) == "paid"
    expect(page.get_by_text("Accept…", exact=True)).to_have_count(0)
    page.context.close()


def test_the_keyboard_alone_finds_a_payment_and_closes_it(server: Server, browser: Browser) -> None:
    waiting = make(server)
    page = signed_in_page(server, browser)
    page.goto(f"{server.url}/dashboard/test/payments")
    tab_to(page, "q")
    page.keyboard.type(waiting["id"])
    page.keyboard.press("Enter")
    page.wait_for_url("**q=cs_**")
    tab_to(page, "30.00 USD")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{waiting['id']}?back=*")
    tab_to(page, "Close…")
    page.keyboard.press("Enter")
    tab_to(page, "Close payment")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Closed.")
    assert status_of(server, waiting) == "expired"
    page.context.close()


CUT = """() => [...document.querySelectorAll(".table tbody th, .table tbody td, .table .whole, .table .sum")]
    .filter(each => getComputedStyle(each).display !== "inline" && each.scrollWidth > each.clientWidth + 1)
    .map(each => each.innerText)"""
WRAPPED = """() => [...document.querySelectorAll(".table tbody .whole, .table tbody .sum, .table tbody .short")]
    .filter(each => each.getClientRects().length > 1 || each.offsetHeight > 40).map(each => each.innerText)"""


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_amounts_and_email_addresses_are_whole_in_every_table(
    server: Server, browser: Browser, paths: dict[str, str], width: int
) -> None:
    play(
        server,
        "exact",
        amount={"value": "123456.78", "currency": "EUR"},
        customerEmail="forty.characters.long@mail.example.co.uk",
    )
    server.api.post("/refunds", json={"sessionId": paths["exact"].rpartition("/")[2], "amount": "0.001"})
    page = signed_in_page(server, browser, width=width)
    lists = ("/links", "/webhooks", "/api-keys", "/refunds", "/balances?show=all", "/customers?sort=payment")
    for name, path in {**paths, **{each: each for each in lists}}.items():
        page.goto(f"{server.url}/dashboard/test{path}")
        assert page.evaluate(CUT) == [], name
        if width == 1280:
            assert page.evaluate(WRAPPED) == [], name
        assert too_wide(page) == [], name
        page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{server.url}/dashboard/test/customers")
    expect(page.get_by_role("row", name="forty.characters.long@mail.example.co.uk")).to_contain_text("EUR")
    page.context.close()


@pytest.mark.usefixtures("paths")
def test_a_shortened_address_is_copied_and_read_aloud_whole(server: Server, browser: Browser) -> None:
    page = signed_in_page(server, browser)
    page.goto(f"{server.url}/dashboard/test/balances")
    short = page.locator(".short").first
    whole = short.get_attribute("title") or ""
    assert len(whole) == 42
    assert short.bounding_box()["width"] < 160  # type: ignore[index]
    assert short.evaluate("e => { getSelection().selectAllChildren(e); return getSelection().toString() }") == whole
    assert page.get_by_role("code").filter(has_text=whole).count() >= 1
    page.context.close()


@pytest.mark.parametrize("javascript", [True, False], ids=["with javascript", "without javascript"])
def test_one_comes_back_to_the_filtered_list_after_accepting(
    server: Server, browser: Browser, javascript: bool
) -> None:
    order = f"way back {javascript}"
    over = play(server, "overpaid", metadata={"order": order})
    page = signed_in_page(server, browser, javascript=javascript)
    page.goto(f"{server.url}/dashboard/test/payments")
    page.get_by_label("Search").fill(order)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="30.00 USD").click()
    page.get_by_text("Accept and refund the excess…").click()
    page.get_by_role("button", name="Accept without refund").click()
    server.wait_until(lambda: status_of(server, over) == "paid", "accept it")
    page.get_by_role("link", name="← Payments (filtered)").click()
    expect(page.get_by_label("Search")).to_have_value(order)
    expect(page.get_by_text("1 payment.")).to_be_visible()
    page.context.close()


def test_accepting_and_refunding_takes_two_presses(server: Server, browser: Browser) -> None:
    over = play(server, "overpaid")
    page = signed_in_page(server, browser)
    page.goto(f"{server.url}/dashboard/test/payments/{over['id']}")
    page.get_by_text("Accept and refund the excess…").click()
    page.get_by_role("button", name="Accept and refund 0.01 ETH").click()
    expect(page.get_by_label("Amount")).to_have_value("0.01")
    page.get_by_role("button", name="Create refund").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Refund of 0.01 ETH")
    assert status_of(server, over) == "paid"
    page.context.close()


def test_the_link_of_a_pending_payment_is_copied_with_one_press(server: Server, browser: Browser) -> None:
    waiting = make(server)
    page = signed_in_page(server, browser)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.url}/dashboard/test/payments/{waiting['id']}")
    page.get_by_role("button", name="Copy payment link").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == waiting["checkoutUrl"]
    page.context.close()


def test_a_customers_name_and_notes_are_changed_without_javascript(
    server: Server, browser: Browser, paths: dict[str, str]
) -> None:
    page = signed_in_page(server, browser, width=320, javascript=False)
    page.goto(f"{server.url}/dashboard/test{paths['customer']}")
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("Metadata").fill("no note")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("“no note” is not an entry")).to_be_visible()
    assert page.get_by_label("Name").input_value() == "Ada Lovelace"
    page.get_by_label("Metadata").fill("bread = dark")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_have_text("Saved.")
    saved = server.api.get(paths["customer"]).json()
    assert (saved["name"], saved["metadata"]) == ("Ada Lovelace", {"bread": "dark"})
    page.context.close()


def status_of(server: Server, session: dict[str, Any]) -> str:
    found: str = server.api.get(f"/checkout_sessions/{session['id']}").json()["status"]
    return found


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what has this name or text."""
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("(e => e.name || e.innerText || '')(document.activeElement).trim().split('\\n')[0]")
        )
        if reached[-1] == name:
            return
    raise AssertionError(f"{name} was not reached, but {reached}")

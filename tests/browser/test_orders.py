"""Orders from a link in a real browser: by keyboard, with scripts and without, narrow, and right to left."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.accessibility import too_wide, violations
from tests.support.dashboard import signed_in_page
from tests.support.server import Server

FREE = {
    "title": "For the harbour crane", "fiatAmount": None, "fiatCurrency": "EUR", "minFiatAmount": "5.00",
    "maxFiatAmount": "1000000.00", "suggestedAmounts": ["10.00", "25.00", "100000.00"],
}  # fmt: skip
TICKETS = {"title": "A ticket", "fiatAmount": "1234.50", "quantity": {"max": 4, "stock": 6}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop"), environ={"CHECKOUT__BRANDING__NAME": "Ada's Bakery"}) as running:
        yield running


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=request.param, viewport={"width": 320, "height": 800})
    yield context.new_page()
    context.close()


def a_link(server: Server, body: dict[str, Any]) -> str:
    made = server.api.post("/payment_links", json=body).raise_for_status().json()
    return f"{server.url}/l/{made['slug']}"


def test_a_payer_names_the_amount_by_keyboard(server: Server, page: Page) -> None:
    url = a_link(server, FREE)
    page.goto(f"{url}?amount=33.5")
    field = page.get_by_label("Another amount in EUR")
    expect(field).to_have_value("33.50")
    field.focus()
    field.fill("4")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("At least 5.00 EUR")
    expect(field).to_have_value("4")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("44,10")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("44.10 EUR")
    page.goto(url)
    expect(page.get_by_role("main")).to_contain_text("You have an open payment of 44.10 EUR.")
    expect(field).to_have_value("44.10")
    page.get_by_role("link", name="Open the payment page").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("44.10 EUR")
    page.goto(url)
    page.get_by_role("button", name="25.00 EUR").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("25.00 EUR")


def test_the_total_follows_the_number(server: Server, page: Page, request: pytest.FixtureRequest) -> None:
    page.goto(a_link(server, TICKETS))
    total, number = page.locator("#total"), page.get_by_label("Quantity")
    expect(page.get_by_role("main")).to_contain_text("6 left")
    expect(total).to_have_text("1,234.50 USD")
    number.fill("3")
    update = page.get_by_role("button", name="Update the total")
    if "without" in request.node.name:
        update.click()
    else:
        expect(update).to_have_count(0)
    expect(total).to_have_text("3,703.50 USD")
    expect(number).to_have_value("3")
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.get_by_role("main")).to_contain_text("3 × A ticket")
    page.go_back()
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.get_by_role("main")).to_contain_text("3 × A ticket")
    found = server.api.get("/payment_links").json()["data"][0]["quantity"]
    assert found["reserved"] == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_every_form_fits_and_is_accessible(server: Server, browser: Browser, language: str, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    gone = {**TICKETS, "quantity": {"stock": 0}}
    for body, query in ((FREE, ""), (FREE, "&amount=1"), (TICKETS, ""), (TICKETS, "&quantity=9"), (gone, "")):
        page.goto(f"{a_link(server, body)}?lang={language}{query}")
        assert too_wide(page) == []
        assert violations(page) == []
    context.close()


def test_the_dashboards_form_shows_what_belongs_to_the_pricing(server: Server, browser: Browser) -> None:
    page = signed_in_page(server, browser)
    page.goto(f"{server.url}/dashboard/test/links/new")
    page.get_by_label("Title").fill("A gift")
    suggested, stock = page.get_by_label(re.compile("Suggested amounts")), page.get_by_label(re.compile("^Stock"))
    expect(suggested).to_be_hidden()
    expect(stock).to_be_hidden()
    page.get_by_label("Pricing").select_option("pieces")
    expect(stock).to_be_visible()
    page.get_by_label("Pricing").select_option("free")
    expect(page.get_by_label("Price", exact=True)).to_be_hidden()
    suggested.fill("10 25")
    assert violations(page) == []
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("main")).to_contain_text("Any amount, in USD")
    page.context.close()

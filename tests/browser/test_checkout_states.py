"""The payer's page in every state: judged by axe, at every width, in print, and when the chain isn't seen."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.accessibility import too_wide, violations
from tests.support.anvil import Anvil
from tests.support.scenes import CHAIN_ID, Shop, out_of_sight, scenes

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that read colours; a dark page is the same as a light one in all else."""


@pytest.fixture(scope="module")
def shop(anvil_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    arguments = ["--chain-id", str(CHAIN_ID)]
    with Anvil(anvil_path, tmp_path_factory.mktemp("anvil"), mining="manual", arguments=arguments) as node:
        shop = Shop(tmp_path_factory.mktemp("shop"), node)
        with shop.server:
            yield shop


@pytest.fixture(scope="module")
def pages(shop: Shop) -> dict[str, str]:
    return scenes(shop)


def new_page(browser: Browser, **options: Any) -> Page:
    """Open a page that never gets away: a paid one leaves for the shop in ten seconds, which a look may take."""
    page = browser.new_page(**options)
    page.route("https://shop.example/**", lambda route: route.fulfill(status=204))
    return page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = new_page(browser, viewport={"width": 390, "height": 800})
    yield opened
    opened.close()


HEADINGS = {
    "waiting": "Pay 49.90 USD",
    "partial": "Pay 49.90 USD",
    "confirming": "Confirming your payment",
    "paid": "Payment complete",
    "reorged": "The network has reversed your payment for now",
    "overpaid": "Payment complete",
    "late": "Payment complete",
    "late_payment": "This payment has expired",
    "failed": "The network reversed this payment",
    "expired": "This payment has expired",
    "closed": "The shop closed this payment",
    "accepted": "Payment complete",
    "refunded": "Payment complete",
    "wrong": "Pay 49.90 USD",
    "wrong_before": "Money has already arrived",
    "test": "Pay 49.90 USD",
    "token": "Pay 49.90 USD",
    "token_request": "Pay 49.90 USD",
    "chooser": "Pay 49.90 USD",
    "details": "Pay 49.90 USD",
    "changing": "Pay 49.90 USD",
    "any_amount": "Sourdough workshop",
    "wrong_amount": "Sourdough workshop",
    "pieces": "Sourdough workshop",
    "sold_out": "Sourdough workshop",
    "front": "Payments",
    "not_found": "Page not found",
    "inactive": "This link is inactive",
}


def wrong(page: Page, rules: Sequence[str] = WCAG) -> list[str]:
    return violations(page, runOnly=rules)


def test_every_state_says_what_it_is(page: Page, pages: dict[str, str]) -> None:
    found = {}
    for name, url in pages.items():
        page.goto(url)
        found[name] = page.get_by_role("heading", level=1).inner_text()
    assert found == HEADINGS


@pytest.mark.parametrize(("scheme", "rules"), [("light", WCAG), ("dark", OF_COLOURS)], ids=["light", "dark"])
def test_axe_finds_nothing_wrong_in_any_state(
    browser: Browser, pages: dict[str, str], scheme: Literal["light", "dark"], rules: Sequence[str]
) -> None:
    page = new_page(browser, viewport={"width": 390, "height": 800}, color_scheme=scheme)
    found = {}
    for name, url in pages.items():
        page.goto(url)
        found[name] = wrong(page, rules)
        page.locator(".languages summary").click()
        found[f"{name}, choosing a language"] = wrong(page, rules)
    page.close()
    assert {name: rules for name, rules in found.items() if rules} == {}


@pytest.mark.parametrize("language", ["ar", "de", "fa", "he", "ja", "ru", "zh"])
def test_axe_finds_nothing_wrong_in_other_languages(page: Page, pages: dict[str, str], language: str) -> None:
    for name in ("waiting", "paid"):
        page.goto(f"{pages[name]}?lang={language}")
        assert page.evaluate("document.documentElement.lang").split("-")[0] == language
        assert wrong(page) == []


@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_no_state_is_wider_than_the_screen_in_any_direction(page: Page, pages: dict[str, str], language: str) -> None:
    for name, url in pages.items():
        page.goto(f"{url}{'&' if '?' in url else '?'}lang={language}")
        assert too_wide(page) == [], name


def test_text_can_be_twice_as_large_on_a_small_screen(browser: Browser, pages: dict[str, str]) -> None:
    page = new_page(browser, viewport={"width": 640, "height": 800})
    for name in ("waiting", "paid", "reorged"):
        page.goto(pages[name])
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") == 640, name
    page.close()


def test_a_receipt_is_printed_with_all_that_matters_and_nothing_to_press(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["paid"])
    page.emulate_media(media="print")
    main = page.get_by_role("main")
    for said in ("Ada's Bakery", "49.90 USD", "Ethereum", "Transaction", "Reference", "Paid on"):
        expect(main).to_contain_text(said)
    for name in ("Print receipt", "Stay on this page"):
        expect(page.get_by_text(name)).to_be_hidden()
    expect(page.locator(".foot")).to_be_hidden()


def test_a_payment_taken_back_hides_how_to_pay_until_that_is_asked_for(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["reorged"])
    expect(page.locator("#address")).to_be_hidden()
    page.get_by_text("My wallet says the payment failed").click()
    expect(page.locator("#address")).to_be_visible()
    assert wrong(page) == []


def test_nothing_moves_for_those_who_want_that(browser: Browser, pages: dict[str, str]) -> None:
    page = new_page(browser, reduced_motion="reduce")
    page.goto(pages["waiting"])
    assert page.evaluate("document.getAnimations().length") == 0
    page.close()


def test_forced_colours_leave_the_code_black_on_white(browser: Browser, pages: dict[str, str]) -> None:
    page = new_page(browser, forced_colors="active", color_scheme="dark")
    page.goto(pages["waiting"])
    drawn = page.evaluate(
        "[...document.querySelectorAll('.qr path')].map(e => getComputedStyle(e).stroke + e.getAttribute('fill'))"
    )
    assert drawn
    assert all("255, 255, 255" in each or "0, 0, 0" in each or "#fff" in each for each in drawn)
    page.close()


def test_a_chain_that_is_not_seen_is_told_of_as_is_its_return(shop: Shop, page: Page, pages: dict[str, str]) -> None:
    assert pages, "what needs the simulated chain was brought about before"
    urls = out_of_sight(shop)
    page.goto(urls["time_up"])
    expect(page.get_by_role("heading", level=1)).to_have_text("This payment has expired")
    expect(page.get_by_role("main")).to_contain_text("this page is still looking for it")
    assert wrong(page) == []
    page.goto(urls["blind"])
    main = page.get_by_role("main")
    expect(main).to_contain_text("your payment isn’t lost")
    expect(page.locator("#announcer")).to_contain_text("We can’t see the Sandbox network")
    assert wrong(page) == []

"""The receipt in a real browser: on a phone and on paper, in the dark, right to left, with and without scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.accessibility import too_wide, violations
from tests.support.server import Server

SELLER = {
    "CHECKOUT__BRANDING__NAME": "Tea & Sons",
    "CHECKOUT__BRANDING__ADDRESS": "Tea & Sons Ltd\n1 High Street",
    "CHECKOUT__BRANDING__TAX_NUMBER": "VAT GB123456789",
}
LONG = "ada.lovelace.the.first.programmer@analytical-engines-of-the-world.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop"), "", SELLER) as running:
        yield running


def paid(server: Server, scenario: str = "top_up") -> str:
    """Return the URL of a session's page after a scenario."""
    link = server.api.post("/payment_links", json={"title": "Earl Grey, loose leaf", "fiatAmount": "30.00"}).json()
    order = {"linkId": link["id"], "customerEmail": LONG, "customerName": "Ada Lovelace"}
    session = server.api.post("/checkout_sessions", json=order).json()
    path = f"/test_helpers/checkout_sessions/{session['id']}/pay"
    assert server.api.post(path, json={"scenario": scenario}).is_success
    return f"{server.url}/checkout/{session['id']}"


def opened(browser: Browser, url: str, *, width: int = 390, dark: bool = False, scripts: bool = True) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    page = context.new_page()
    page.goto(url)
    return page


@pytest.mark.parametrize("scenario", ["top_up", "reorged_after_paid"])
@pytest.mark.parametrize(("width", "dark", "language"), [(320, False, "de"), (390, True, "ar"), (1280, False, "en")])
def test_nothing_is_cut_and_everything_can_be_read(
    server: Server, browser: Browser, scenario: str, width: int, dark: bool, language: str
) -> None:
    page = opened(browser, f"{paid(server, scenario)}/receipt?lang={language}", width=width, dark=dark)
    assert too_wide(page) == []
    assert violations(page) == []
    page.context.close()


def test_the_page_of_the_payment_leads_to_the_receipt_without_scripts(server: Server, browser: Browser) -> None:
    page = opened(browser, paid(server), scripts=False)
    page.get_by_role("link", name="View receipt").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Receipt T")
    expect(page.get_by_role("button", name="Print receipt")).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("link", name="Signed copy").click()
    assert Path(download.value.path()).read_text().count(".") == 2
    page.context.close()


def test_the_button_prints_and_paper_has_black_on_white_only(server: Server, browser: Browser) -> None:
    page = opened(browser, f"{paid(server)}/receipt", dark=True)
    page.evaluate("window.print = () => { document.title = 'printed'; }")
    page.get_by_role("button", name="Print receipt").click()
    expect(page).to_have_title("printed")
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Print receipt")).to_be_hidden()
    expect(page.get_by_role("link", name="Signed copy")).to_be_hidden()
    colors = page.evaluate(
        "[...document.querySelectorAll('#receipt, #receipt *')].map(each => getComputedStyle(each).color)"
    )
    assert set(colors) == {"rgb(0, 0, 0)"}
    page.context.close()

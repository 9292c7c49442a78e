"""The dashboard in a real browser, on a real server: the owner's whole way, and what a page must be for everybody."""

import csv
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from crypto_checkout.http.dashboard.frame.router import DashboardPage as Route
from crypto_checkout.http.dashboard.table import PAGES
from tests.support.accessibility import too_wide, violations
from tests.support.dashboard import PASSWORD, SET_UP_LINK, signed_in_page
from tests.support.receiver import Receiver
from tests.support.server import Server
from tests.support.shop import XPUB
from tests.support.waiting import WAIT_SECONDS

log = logging.getLogger(__name__)

DOOR = ("/sign-in", "/set-up")
OF_A_PAYMENT = ("/refunds/new",)
SAMPLE = ("/settings/shop/sample", "/settings/shop/sample/colors.css", "/settings/shop/sample/logo")
DOWNLOADS = ("/exports/payments", "/exports/unmatched", "/exports/collected", "/exports/refunds")


def is_plain(route: Route) -> bool:
    return (
        route.method == "GET"
        and "{" not in route.path
        and route.path not in {*DOOR, *DOWNLOADS, *OF_A_PAYMENT, *SAMPLE}
    )


PATHS = tuple(f"/test{'' if route.path == '/' else route.path}" for route in PAGES if is_plain(route))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environ = {"CHECKOUT__BRANDING__NAME": "Ada's Bakery"}
    with Server(tmp_path_factory.mktemp("shop"), environ=environ) as running:
        yield running


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    opened = signed_in_page(server, browser)
    yield opened
    opened.context.close()


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


@pytest.mark.parametrize("javascript", [True, False], ids=["with javascript", "without javascript"])
def test_the_whole_way_from_the_link_to_a_payment_in_the_books(
    tmp_path: Path, browser: Browser, javascript: bool
) -> None:
    began = time.monotonic()

    def took(name: str) -> None:
        nonlocal began
        log.info("%s: %.1f s", name, time.monotonic() - began)
        began = time.monotonic()

    with Server(tmp_path) as server, Receiver() as shop:
        context = browser.new_context(java_script_enabled=javascript, viewport={"width": 390, "height": 800})
        page = context.new_page()
        took("start")
        set_a_password(server, page)
        assert heading(page) == "Setup"
        took("password")
        name_the_shop_and_show_the_wallet(page)
        took("guide")
        api = make_a_key(server, page)
        took("key")
        make_a_link(page, api)
        took("link")
        connect_a_webhook(page, shop)
        took("webhook")
        make_the_guides_payment(page)
        took("payment by the guide")
        session_id = pay_as_a_payer(server, page, api)
        took("payment by a payer")
        find_it_among_the_payments(page, session_id)
        took("list and detail")
        (row,) = [row for row in export(page) if row["session_id"] == session_id]
        assert (row["fiat_amount"], row["fiat_currency"]) == ("4.50", "USD")
        took("export")
        context.close()


def step(page: Page, name: str) -> None:
    """Go to a step of the guide."""
    page.goto(f"{page.url.partition('/dashboard')[0]}/dashboard/guide")
    page.get_by_role("main").get_by_role("link", name=name).click()


def set_a_password(server: Server, page: Page) -> None:
    link = SET_UP_LINK.search(server.output)
    assert link is not None
    page.goto(link[0])
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Repeat password").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()


def name_the_shop_and_show_the_wallet(page: Page) -> None:
    step(page, "Name your shop")
    page.get_by_label("Name").fill("Ada's Bakery")
    page.get_by_role("button", name="Preview").click()
    expect(page.frame_locator("iframe").get_by_text("Ada's Bakery")).to_be_visible()
    expect(page.locator("#toml")).to_have_text('[branding]\nname = "Ada\'s Bakery"')
    step(page, "Connect your wallet")
    page.get_by_label("Extended public key").fill(XPUB)
    page.get_by_role("button", name="Show its first addresses").click()
    expect(page.get_by_text("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")).to_be_visible()
    expect(page.locator("#toml")).to_contain_text(XPUB)
    step(page, "Check the prices")
    page.get_by_role("button", name="Show the prices now").click()
    expect(page.get_by_role("row", name="ETH")).to_contain_text("USD")


def make_a_key(server: Server, page: Page) -> httpx.Client:
    step(page, "Create an API key")
    page.get_by_label("Name").fill("Till")
    page.get_by_role("button", name="Create key").click()
    return server.client(page.locator("#key").inner_text())


def make_a_link(page: Page, api: httpx.Client) -> None:
    step(page, "Create a link")
    page.get_by_label("What is it for?").fill("A cup of tea")
    page.get_by_label("Price").fill("4.50")
    page.get_by_role("button", name="Create link").click()
    shown = page.locator("#link").inner_text()
    (link,) = api.get("/payment_links").json()["data"]
    assert link["checkoutUrl"] == shown


def connect_a_webhook(page: Page, shop: Receiver) -> None:
    step(page, "Connect a webhook")
    page.get_by_label("Endpoint URL").fill(shop.url)
    page.get_by_role("button", name="Connect webhook").click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_role("main")).to_contain_text("Your shop accepted the test event")


def make_the_guides_payment(page: Page) -> None:
    step(page, "Try it")
    page.get_by_role("button", name="for me").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your test payment arrived")
    expect(page.get_by_role("main")).to_contain_text("4.50 USD")
    page.get_by_role("link", name="Continue setup").click()
    done = ["Make a test payment (done)", "Create a payment link (done)"]
    expect(page.locator(".guide .done h2")).to_have_text(done)


def pay_as_a_payer(server: Server, page: Page, api: httpx.Client) -> str:
    """Open the link as a payer does and press the page's own button; return the session's id."""
    (link,) = api.get("/payment_links").json()["data"]
    page.goto(link["checkoutUrl"])
    session_id = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Pay with test money").click()
    session = f"/checkout_sessions/{session_id}"
    server.wait_until(lambda: bool(server.api.get(session).json()["status"] == "paid"), "see the payment")
    page.goto(f"{server.url}/checkout/{session_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
    page.goto(f"{server.url}/dashboard/test")
    return session_id


def follow(page: Page, name: str) -> None:
    """Go to a page by the navigation."""
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()


def find_it_among_the_payments(page: Page, session_id: str) -> None:
    follow(page, "Payments")
    page.locator(f"main a[href$='/payments/{session_id}']").first.click()
    expect(page.get_by_role("main")).to_contain_text("4.50 USD")
    expect(page.get_by_role("main")).to_contain_text(session_id)


def export(page: Page) -> list[dict[str, str]]:
    """Download the payments; return the rows of the file."""
    follow(page, "Exports")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download payments").click()
    assert re.fullmatch(r"payments-test-\d{4}-\d\d-\d\d\.csv", waiting.value.suggested_filename)
    return list(csv.DictReader(waiting.value.path().read_text("utf-8").splitlines()))


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (320, True)])
def test_axe_finds_nothing_on_any_page(server: Server, browser: Browser, width: int, dark: bool) -> None:
    page = signed_in_page(server, browser, width=width, dark=dark)
    found = {}
    for path in (*PATHS, *DOOR):
        if path in DOOR:
            page.context.clear_cookies()
        page.goto(f"{server.url}/dashboard{path}")
        found[path] = violations(page)
    page.context.close()
    assert not any(found.values()), found


@pytest.mark.sqlite  # a database on a server is backed up there
def test_a_backup_is_made_and_downloaded_without_javascript(server: Server, browser: Browser) -> None:
    page = signed_in_page(server, browser, width=320, dark=True, javascript=False)
    page.goto(f"{server.url}/dashboard/test/settings/backup")
    page.get_by_role("button", name="Back up now").click()
    # The page loads itself again until the backup is there.
    download = page.get_by_role("button", name="Download checkout-")
    expect(download).to_be_visible(timeout=1000 * WAIT_SECONDS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    with page.expect_download() as waiting:
        download.click()
    assert re.fullmatch(r"checkout-\d{8}-\d{6}\.db", waiting.value.suggested_filename)
    assert waiting.value.path().read_bytes().startswith(b"SQLite format 3")
    page.context.close()
    page = signed_in_page(server, browser, width=320, dark=True)
    page.goto(f"{server.url}/dashboard/test/settings/backup")
    assert violations(page) == []
    page.context.close()


def test_axe_would_find_something(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/dashboard/test/api-keys/new")
    page.evaluate("document.querySelector('label[for=name]').remove()")
    assert any(each.startswith("label: ") for each in violations(page))


def test_no_page_is_wider_than_the_screen(server: Server, page: Page) -> None:
    for path in PATHS:
        page.goto(f"{server.url}/dashboard{path}")
        assert too_wide(page) == [], path


def test_nothing_comes_from_elsewhere_and_nothing_is_refused_by_the_policy(server: Server, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in PATHS:
        page.goto(f"{server.url}/dashboard{path}")
    assert len(asked) > len(PATHS)
    assert all(url.startswith((server.url, "data:")) for url in asked)
    assert said == []


def test_every_page_has_its_own_title_one_main_heading_and_its_place_in_the_navigation(
    server: Server, page: Page
) -> None:
    titles = []
    for path in PATHS:
        page.goto(f"{server.url}/dashboard{path}")
        titles.append(page.title())
        assert page.locator("h1").count() == 1
        assert page.title().startswith(heading(page))
        current = page.get_by_role("navigation", name="Pages").locator("[aria-current=page]")
        assert current.count() == 1
    assert len(set(titles)) == len(titles)


def test_the_keyboard_reaches_the_content_the_menu_and_every_control(server: Server, browser: Browser) -> None:
    page = signed_in_page(server, browser, width=320)
    page.goto(f"{server.url}/dashboard/test/api-keys/new")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to content"
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => (e.innerText || e.name || e.value || '').trim().split('\\n')[0])(document.activeElement)"
            )
        )
    for wanted in ("Test", "Live", "Menu", "name", "scope", "Create key", "Cancel"):
        assert wanted in reached, wanted
    page.goto(f"{server.url}/dashboard/test")
    page.get_by_text("Menu", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="API keys")).to_be_visible()
    page.context.close()


def test_a_key_is_revoked_only_after_it_was_asked_once_more(server: Server, browser: Browser) -> None:
    for javascript in (True, False):
        page = signed_in_page(server, browser, javascript=javascript)
        page.goto(f"{server.url}/dashboard/test/api-keys/new")
        name = f"Key {javascript}"
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Create key").click()
        key = server.client(page.locator("#key").inner_text())
        page.get_by_role("link", name="Done").click()
        row = page.get_by_role("row", name=name)
        row.get_by_text("Revoke…", exact=True).click()
        assert key.get("/payment_links").is_success
        row.get_by_role("button", name=f"Revoke {name}").click()
        expect(page.get_by_role("status").first).to_contain_text("was revoked")
        server.wait_until(lambda each=key: each.get("/payment_links").status_code == 401, "forget the key")  # type: ignore[misc]
        page.context.close()


def test_the_second_factor_is_set_up_from_the_page(tmp_path: Path, browser: Browser) -> None:
    import pyotp

    with Server(tmp_path) as server:
        page = signed_in_page(server, browser, width=390)
        page.goto(f"{server.url}/dashboard/test/settings")
        page.get_by_role("link", name="Set up an authenticator app").click()
        authenticator = pyotp.TOTP(page.locator("#secret-text").inner_text())
        page.get_by_label("Code shown in the app").fill(authenticator.now())
        page.get_by_role("button", name="Turn on").click()
        expect(page.locator(".codes code")).to_have_count(10)
        codes = page.locator(".codes code").all_inner_texts()
        assert all(re.fullmatch(r"(?:[a-z2-7]{4}-){3}[a-z2-7]{4}", code) for code in codes)
        assert not violations(page)
        page.get_by_role("link", name="I saved them").click()
        expect(page.get_by_role("main")).to_contain_text("Recovery codes left: 10")
        page.get_by_text("Menu", exact=True).click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Code from your authenticator app").fill(codes[0])
        assert not violations(page)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/dashboard/test")
        page.context.close()


def test_with_an_https_address_a_browser_signs_in_through_a_tunnel_and_is_led_there_from_http(
    tmp_path: Path, browser: Browser
) -> None:
    with Server(tmp_path, environ={"CHECKOUT__SERVER__PUBLIC_URL": "https://pay.example"}) as server:
        port = server.url.rpartition(":")[2]
        link = re.search(r"/dashboard/set-up\?token=\S+", server.output)
        assert link is not None
        page = browser.new_page()
        page.route(
            "http://pay.example/**",
            lambda route: route.fulfill(
                response=route.fetch(url=route.request.url.replace("pay.example", f"127.0.0.1:{port}"))
            ),
        )
        page.goto(f"http://pay.example{link[0]}")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Repeat password").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Open this page over https")
        expect(page.get_by_role("link", name="Go to https://pay.example")).to_have_attribute(
            "href", f"https://pay.example{link[0]}"
        )
        page.goto(f"{server.url}{link[0]}")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Repeat password").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
        page.wait_for_url("**/dashboard/test/guide")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.close()

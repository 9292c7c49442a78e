"""The page on a phone: links to wallet apps, and the page in such an app's browser, whose wallet comes when it likes.

The phone is Chromium's emulation: its screen, touch and User-Agent. What an app does with its link, only a real phone
shows.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from crypto_checkout.core.checkout.wallet_apps import WALLET_APPS
from tests.support import solidity
from tests.support.accessibility import too_wide, violations
from tests.support.anvil import Anvil
from tests.support.fake_wallet import FakeWallet
from tests.support.scenes import CHAIN_ID, Json, Shop

PUBLIC = "https://pay.example.com"
PHONE = "Pixel 7"
SILENT_WALLET = "window.ethereum = { request: async () => { throw { code: 4001 } } };"


@pytest.fixture(scope="module")
def shop(anvil_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    compiler = solidity.find()
    arguments = ["--chain-id", str(CHAIN_ID)]
    with Anvil(anvil_path, tmp_path_factory.mktemp("anvil"), mining="manual", arguments=arguments) as node:
        token = None
        if compiler is not None:
            contract = solidity.deploy(node, compiler, "Token")
            contract.send("transfer(address,uint256)", node.accounts[3], 10**12)
            node.mine()
            token = contract.address
        environ = {"CHECKOUT__SERVER__PUBLIC_URL": PUBLIC}
        shop = Shop(tmp_path_factory.mktemp("shop"), node, token=token, environ=environ)
        with shop.server:
            yield shop


def on_phone(playwright: Playwright, browser: Browser, **more: Any) -> BrowserContext:
    """Return a phone; its browser has no wallet."""
    return browser.new_context(**{**playwright.devices[PHONE], **more})


@pytest.fixture
def phone(playwright: Playwright, browser: Browser) -> Iterator[Page]:
    context = on_phone(playwright, browser)
    yield context.new_page()
    context.close()


def links(page: Page) -> list[str | None]:
    return [each.get_attribute("href") for each in page.locator("#apps a").all()]


def expected(session: Json, query: str = "") -> list[str]:
    return [app.link_to(f"{PUBLIC}/checkout/{session['id']}{query}") for app in WALLET_APPS]


@pytest.mark.usefixtures("solc")
@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
@pytest.mark.parametrize("asset", ["ETH", "USDC"])
def test_a_phone_is_offered_every_wallet_app(
    shop: Shop, playwright: Playwright, browser: Browser, asset: str, scripts: bool
) -> None:
    session = shop.ask(asset=asset)
    context = on_phone(playwright, browser, java_script_enabled=scripts)
    page = context.new_page()
    page.goto(shop.url(session))
    for app in WALLET_APPS:
        expect(page.get_by_role("link", name=app.name)).to_be_visible()
    assert links(page) == expected(session)
    # A token's request is misread by some wallets, and never is a link.
    expect(page.get_by_role("link", name="Open in wallet app")).to_have_count(1 if asset == "ETH" else 0)
    context.close()


def test_the_language_that_was_chosen_goes_along(shop: Shop, phone: Page) -> None:
    session = shop.ask()
    phone.goto(f"{shop.url(session)}?lang=de")
    assert links(phone) == expected(session, "?lang=de")


@pytest.mark.parametrize("device", ["Desktop Chrome", None], ids=["a desktop", "a narrow window"])
def test_what_is_no_phone_is_offered_none(
    shop: Shop, playwright: Playwright, browser: Browser, device: str | None
) -> None:
    context = browser.new_context(
        **(playwright.devices[device] if device else {"viewport": {"width": 390, "height": 800}})
    )
    page = context.new_page()
    page.goto(shop.url(shop.ask()))
    expect(page.locator("#wallet")).to_be_visible()
    expect(page.locator("#apps")).to_be_hidden()
    context.close()


def test_no_app_is_offered_for_test_money_nor_once_all_is_paid(shop: Shop, phone: Page) -> None:
    phone.goto(shop.url(shop.ask(live=False)))
    expect(phone.locator("#apps")).to_have_count(0)
    session = shop.ask()
    phone.goto(shop.url(session))
    expect(phone.locator("#apps")).to_be_visible()
    shop.pay(session)
    shop.node.mine(3)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Payment complete")
    expect(phone.locator("#apps")).to_have_count(0)


def test_a_payer_whose_payment_was_reversed_finds_the_apps_where_it_says_how_to_pay_again(
    shop: Shop, phone: Page
) -> None:
    session = shop.ask()
    shop.pay(session)
    shop.node.mine(1)
    shop.wait_for(session, "detected")
    shop.node.rpc("anvil_reorg", 1, [])
    shop.wait_for(session, "pending")
    phone.goto(shop.url(session))
    expect(phone.locator("#apps")).to_be_hidden()
    phone.locator(".again summary").tap()
    expect(phone.locator("#apps")).to_be_visible()
    assert links(phone) == expected(session)


def test_the_page_loads_nothing_from_elsewhere_before_a_press(shop: Shop, phone: Page) -> None:
    hosts: set[str] = set()
    phone.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    phone.goto(shop.url(shop.ask()), wait_until="networkidle")
    assert hosts == {shop.server.url.split("/")[2]}


def test_a_press_leads_to_the_apps_link_and_says_nothing_of_the_page_it_came_from(shop: Shop, phone: Page) -> None:
    session = shop.ask()
    asked: list[dict[str, str]] = []

    def answer(route: Any) -> None:
        asked.append({"url": route.request.url, "referer": route.request.headers.get("referer", "")})
        route.fulfill(body="<title>Get the app</title>", content_type="text/html")

    phone.route("https://link.trustwallet.com/**", answer)
    phone.goto(shop.url(session))
    phone.get_by_role("link", name="Trust Wallet").tap()
    expect(phone).to_have_title("Get the app")
    assert asked == [{"url": expected(session)[1], "referer": ""}]
    phone.go_back()
    expect(phone.locator("#apps")).to_be_visible()


@pytest.mark.usefixtures("solc")
@pytest.mark.parametrize("asset", ["ETH", "USDC"])
def test_in_the_apps_browser_the_button_pays_and_no_app_is_offered(shop: Shop, phone: Page, asset: str) -> None:
    session = shop.ask(asset=asset, successUrl="https://shop.example/thanks")
    FakeWallet(phone, shop.node, chain_id=CHAIN_ID)
    phone.route("https://shop.example/**", lambda route: route.fulfill(status=204))  # the page stays
    phone.goto(shop.url(session))
    expect(phone.locator("#apps")).to_be_hidden()
    phone.get_by_role("button", name="Pay with Fake Wallet").tap()
    expect(phone.locator("#wallet-state")).to_contain_text("Sent.")
    shop.node.mine(3)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Payment complete")
    expect(phone.get_by_role("link", name="Back to the shop")).to_have_attribute("href", "https://shop.example/thanks")


LATE = {
    "announced": """
        const provider = { request: async () => { throw { code: 4001 } } };
        const info = { uuid: "350670db-19fa-4704-a166-e52e178b59d2", name: "Late Wallet", icon: "", rdns: "x.late" };
        dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
    """,
    "with the old event": SILENT_WALLET + 'dispatchEvent(new Event("ethereum#initialized"));',
    "without a word": SILENT_WALLET,
}


@pytest.mark.parametrize("how", LATE)
def test_a_wallet_that_comes_late_takes_the_place_of_the_apps(shop: Shop, phone: Page, how: str) -> None:
    phone.goto(shop.url(shop.ask()))
    expect(phone.locator("html.js")).to_be_attached()
    expect(phone.locator("#apps")).to_be_visible()
    phone.evaluate(f"() => {{ {LATE[how]} }}")
    button = phone.get_by_role("button", name="Late Wallet" if how == "announced" else "your browser wallet")
    button.tap()
    expect(phone.locator("#wallet-state")).to_contain_text("You declined")
    expect(phone.locator("#apps")).to_be_hidden()


def test_the_button_keeps_the_focus_while_the_page_looks_for_wallets(shop: Shop, phone: Page) -> None:
    phone.add_init_script(SILENT_WALLET)
    phone.goto(shop.url(shop.ask()))
    phone.locator("#wallet-0").focus()
    phone.evaluate("window.before = document.activeElement")
    phone.wait_for_function("document.getElementById('countdown').textContent")
    started = phone.locator("#countdown").inner_text()
    expect(phone.locator("#countdown")).not_to_have_text(started)
    assert phone.evaluate("document.activeElement === window.before")


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_at_320_px_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    shop: Shop, playwright: Playwright, browser: Browser, scheme: Any, language: str
) -> None:
    context = on_phone(playwright, browser, viewport={"width": 320, "height": 640}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{shop.url(shop.ask())}?lang={language}")
    expect(page.locator("#apps")).to_be_visible()
    assert too_wide(page) == []
    assert violations(page) == []
    assert said == []
    context.close()

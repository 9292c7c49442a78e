"""The pages of links and webhooks in a real browser: with and without JavaScript, by keyboard, narrow, in the dark."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.accessibility import too_wide, violations
from tests.support.api import ENDPOINT
from tests.support.dashboard import signed_in_page
from tests.support.receiver import Receiver
from tests.support.server import Server

LONG = "A " + "very" * 30 + " long title"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server, browser: Browser) -> httpx.Client:
    page = signed_in_page(server, browser)
    page.goto(f"{server.url}/dashboard/test/api-keys/new")
    page.get_by_label("Name").fill("Till")
    page.get_by_role("button", name="Create key").click()
    key = page.locator("#key").inner_text()
    page.context.close()
    return server.client(key)


@pytest.fixture(scope="module")
def paths(server: Server, api: httpx.Client) -> Iterator[list[str]]:
    """Return the pages of links and webhooks, with much in them."""
    with Receiver(status=410) as gone, Receiver(status=500) as broken:
        endpoints = []
        for shop in (gone, broken):
            body = {"url": shop.url, "events": ["payment_link.created"], "description": "x" * 60}
            endpoints.append(api.post("/webhook_endpoints", json=body).json()["id"])
        link = api.post(
            "/payment_links",
            json={
                "title": LONG,
                "fiatAmount": "123456789012.00",
                "description": "One line\nand another",
                "successUrl": f"https://shop.example/{'thanks' * 30}",
                "metadata": {"sku": "x" * 200},
            },
        ).json()["id"]
        api.post("/payment_links", json={"title": "Tea", "fiatAmount": "3.50", "active": False})

        def all_tried() -> bool:
            lists = [api.get(f"/webhook_endpoints/{each}/deliveries").json()["data"] for each in endpoints]
            return all(any(delivery["attempts"] for delivery in found) for found in lists)

        server.wait_until(all_tried, "try both endpoints")
        event = api.get(f"/webhook_endpoints/{endpoints[1]}/deliveries").json()["data"][0]["eventId"]
        off = api.post("/webhook_endpoints", json={**ENDPOINT, "url": gone.url}).json()["id"]
        for active in (False, True):
            api.patch(f"/webhook_endpoints/{off}", json={"active": active})
        yield [
            "/links",
            "/links/new",
            f"/links/{link}",
            f"/links/{link}/edit",
            "/webhooks",
            "/webhooks/new",
            *(f"/webhooks/{each}" for each in (*endpoints, off)),
            f"/webhooks/{endpoints[1]}/edit",
            f"/webhooks/{endpoints[1]}/deliveries/{event}",
        ]


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    opened = signed_in_page(server, browser)
    yield opened
    opened.context.close()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (320, True)])
def test_every_page_fits_and_axe_finds_nothing(
    server: Server, browser: Browser, paths: list[str], width: int, dark: bool
) -> None:
    page = signed_in_page(server, browser, width=width, dark=dark)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for path in paths:
        answer = page.goto(f"{server.url}/dashboard/test{path}")
        assert answer is not None
        assert answer.ok, path
        for summary in page.locator("main summary").all():
            summary.click()
        assert violations(page) == [], path
        assert too_wide(page) == [], path
        page.set_viewport_size({"width": width, "height": 900})
    assert said == []
    page.context.close()


@pytest.mark.parametrize("javascript", [True, False], ids=["with javascript", "without javascript"])
def test_a_link_lives_from_the_form_to_its_end(server: Server, browser: Browser, javascript: bool) -> None:
    page = signed_in_page(server, browser, width=390, javascript=javascript)
    page.goto(f"{server.url}/dashboard/test/links")
    page.get_by_role("link", name="New link").click()
    page.get_by_label("Title").fill("A cup of tea")
    page.get_by_label("Price").fill("ten")
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_label("Title")).to_have_value("A cup of tea")
    expect(page.locator("#amount-wrong")).to_be_visible()
    assert not violations(page) if javascript else True
    page.get_by_label("Price").fill("4.50")
    page.get_by_label("ETH on").check()
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A cup of tea")
    expect(page.get_by_role("status").first).to_contain_text("Link created.")
    expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()
    url = page.locator("#url").inner_text()
    assert page.locator("#snippet").inner_text().startswith(f'<a href="{url}"')
    assert "Pay 4.50 USD</a>" in page.locator("#snippet").inner_text()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("main")).to_contain_text("This link is inactive")
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Title").fill("A pot of tea")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A pot of tea")
    page.get_by_text("Delete…", exact=True).click()
    page.get_by_role("button", name="Delete permanently").click()
    expect(page.get_by_role("status").first).to_contain_text("“A pot of tea” was deleted")
    page.context.close()


def test_the_address_of_a_link_is_copied_with_one_press(server: Server, browser: Browser, api: httpx.Client) -> None:
    link = api.post("/payment_links", json={"title": "Tea", "fiatAmount": "3.50"}).json()
    page = signed_in_page(server, browser)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.url}/dashboard/test/links/{link['id']}")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == link["checkoutUrl"]
    page.get_by_role("button", name="Copy").nth(1).click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.includes('</a>'))")
    page.context.close()


@pytest.mark.parametrize("javascript", [True, False], ids=["with javascript", "without javascript"])
def test_an_endpoint_lives_from_the_form_to_its_end(server: Server, browser: Browser, javascript: bool) -> None:
    page = signed_in_page(server, browser, width=390, javascript=javascript)
    with Receiver(status=500) as shop:
        page.goto(f"{server.url}/dashboard/test/webhooks")
        page.get_by_role("link", name="New endpoint").click()
        page.get_by_label("Endpoint URL", exact=True).fill(shop.url)
        page.get_by_role("button", name="Create endpoint").click()
        expect(page.locator("#secret")).to_contain_text("whsec_")
        page.get_by_role("button", name="Send a test event").click()
        expect(page.get_by_role("main")).to_contain_text("HTTP 500")
        expect(page.get_by_role("main")).to_contain_text("Failed")
        shop.status = 200
        page.get_by_role("button", name="Send again").click()
        expect(page.get_by_role("main")).to_contain_text("HTTP 200")
        page.get_by_role("link", name="Done").click()
        page.get_by_text("Rotate secret…", exact=True).click()
        page.get_by_label("Keep the current secret valid").select_option("3600")
        page.get_by_role("button", name="Create a new secret").click()
        expect(page.get_by_role("main")).to_contain_text("another hour")
        page.get_by_role("link", name="Done").click()
        page.get_by_label("Everything that was not delivered since").fill("2026-01-31T12:00:00")
        page.get_by_role("button", name="Resend undelivered events").click()
        expect(page.get_by_role("status").first).to_contain_text("being sent again")
        page.get_by_role("button", name="Disable").click()
        page.get_by_role("button", name="Enable").click()
        page.get_by_role("button", name="Resend missed events").click()
        server.wait_until(lambda: is_delivered(server.api, shop.url, "webhook_endpoint.created"), "send it again")
        page.get_by_label("Status").select_option("succeeded")
        page.get_by_role("button", name="Filter", exact=True).click()
        page.get_by_role("link", name="webhook_endpoint.created").first.click()
        page.get_by_text("Request body", exact=True).click()
        expect(page.locator("#sent")).to_contain_text('"type": "webhook_endpoint.created"')
        page.get_by_role("button", name="Resend", exact=True).click()
        expect(page.get_by_role("status").first).to_contain_text("being sent again")
        page.get_by_role("link", name=shop.url).click()
        page.get_by_text("Delete…", exact=True).click()
        page.get_by_role("button", name="Delete permanently").click()
        expect(page.get_by_role("status").first).to_contain_text("was deleted")
    page.context.close()


def is_delivered(api: httpx.Client, url: str, event: str) -> bool:
    (endpoint,) = [each for each in api.get("/webhook_endpoints").json()["data"] if each["url"] == url]
    found = api.get(f"/webhook_endpoints/{endpoint['id']}/deliveries", params={"status": "succeeded"}).json()["data"]
    return any(each["eventType"] == event for each in found)


def test_the_keyboard_alone_makes_a_link_and_deletes_it(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/dashboard/test/links/new")
    page.get_by_label("Title").focus()
    page.keyboard.type("Cake")
    for _ in range(3):  # past the description and the kind of price
        page.keyboard.press("Tab")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Cake")
    page.get_by_role("button", name="Disable").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Delete…"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Delete permanently"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("“Cake” was deleted")

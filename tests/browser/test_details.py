"""What a session asks of its payer, in a real browser, with scripts and without, on a real server."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_checkout import url_of
from tests.support.accessibility import too_wide, violations
from tests.support.scenes import QUESTIONS
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop"), environ={"CHECKOUT__BRANDING__NAME": "Ada's Bakery"}) as running:
        yield running


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=request.param, viewport={"width": 390, "height": 800})
    yield context.new_page()
    context.close()


def look(server: Server, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = server.api.get(f"/checkout_sessions/{session_id}").json()
    return found


def ask(server: Server, **more: Any) -> dict[str, Any]:
    body = {"amount": {"value": "49.90", "currency": "USD"}, **QUESTIONS, **more}
    made: dict[str, Any] = server.api.post("/checkout_sessions", json=body).raise_for_status().json()
    return made


def test_a_payer_fills_in_the_form_corrects_it_and_pays(server: Server, page: Page) -> None:
    link = {"title": "Ring", "fiatAmount": "49.90", **QUESTIONS}
    made = server.api.post("/payment_links", json=link).raise_for_status().json()
    page.goto(f"{server.url}/l/{made['slug']}")
    session_id = page.url.rpartition("/")[2]
    address = look(server, session_id)["address"]
    assert address.lower() not in "".join(page.content().split()).lower()
    assert page.locator(".qr").count() == 0
    page.get_by_label("Email").fill("ada@")
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.get_by_role("alert")).to_contain_text("check the fields")
    expect(page.get_by_label("Email")).to_be_focused()
    expect(page.get_by_label("Email")).to_have_accessible_description("Enter an email address like name@example.com.")
    expect(page.get_by_label("Your size")).to_have_accessible_description("Choose one of these.")
    expect(page.get_by_label("Name")).to_have_value("Ada Lovelace")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Your size").select_option("Medium")
    page.get_by_role("button", name="Continue to payment").click()
    main = page.get_by_role("main")
    expect(page.locator(".qr")).to_have_count(1)
    page.wait_for_load_state()
    assert address in "".join(main.inner_text().split())
    page.get_by_role("link", name="Change your details").click()
    expect(page.get_by_label("Email")).to_have_value("ada@example.com")
    expect(page.get_by_label("Your size")).to_have_value("Medium")
    page.get_by_label("Message to the shop").fill("Please wrap it.\nThank you!")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Pay with test money").click()
    server.wait_until(lambda: look(server, session_id)["status"] == "paid", "see the payment")
    session = look(server, session_id)
    assert (session["customerEmail"], session["customerName"]) == ("ada@example.com", "Ada Lovelace")
    assert session["customerNote"] == "Please wrap it.\nThank you!"
    assert session["metadata"] == {"size": "Medium"}
    (customer,) = server.api.get("/customers", params={"email": "ada@example.com"}).json()["data"]
    assert customer["name"] == "Ada Lovelace"
    page.goto(f"{server.url}/checkout/{session_id}/details")
    assert page.url == url_of(server, session)


def test_the_form_is_filled_in_by_keyboard_alone(server: Server, page: Page) -> None:
    session = ask(server)
    page.goto(url_of(server, session))
    page.get_by_label("Email").focus()
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type("Ada")
    page.keyboard.press("Tab")
    page.keyboard.type("Small")
    page.keyboard.press("Tab")
    page.keyboard.type("For Charles")
    page.keyboard.press("Enter")
    expect(page.locator(".qr")).to_have_count(1)
    assert look(server, session["id"])["metadata"] == {"size": "Small", "engraving": "For Charles"}


@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_the_form_is_accessible_and_fits_on_small_screens(server: Server, browser: Browser, language: str) -> None:
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    said: list[str] = []
    for scheme in schemes:
        context = browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 700})
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        session = ask(server, cancelUrl="https://shop.example/cart")
        page.goto(f"{url_of(server, session)}?lang={language}")
        assert violations(page) == []
        assert too_wide(page) == []
        page.locator("form.details button").click()
        expect(page.locator(".problem")).to_have_count(2)
        page.wait_for_load_state()
        assert violations(page) == []
        assert too_wide(page) == []
        context.close()
    assert [each for each in said if "400" not in each] == [], "the browser notes the status of the form's answer"

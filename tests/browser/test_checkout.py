"""The payer's page in a real browser, on a real server."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.accessibility import too_wide
from tests.support.receiver import Receiver
from tests.support.server import Server
from tests.support.shopfront import Shopfront


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
        page.wait_for_url(f"{shop.url}?order={session['id']}")


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
    expect(page.get_by_role("main")).to_contain_text("Payment complete")
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


def test_nothing_is_wider_than_the_screen(server: Server, page: Page) -> None:
    for body in ({}, {"asset": "USDC"}):
        page.goto(url_of(server, ask(server, **body)))
        assert too_wide(page) == []


def test_the_keyboard_reaches_everything_that_can_be_done(server: Server, page: Page) -> None:
    page.goto(url_of(server, ask(server, cancelUrl="http://127.0.0.1:9/cart")))
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.innerText || '').trim().split('\\n')[0]"))
    assert {"Pay with test money", "Open in wallet app"} <= reached
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


# What the script adds


def test_what_is_copied_is_told_to_those_who_cannot_see_it(server: Server, browser: Browser) -> None:
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    session = ask(server)
    page.goto(url_of(server, session))
    page.get_by_role("button", name="Copy address").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == session["address"]
    page.get_by_role("button", name="Copy amount").click()
    expect(page.locator("#copy-amount")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == session["amount"]["value"]
    context.close()


def test_the_way_back_to_the_shop_can_be_stopped(server: Server, page: Page) -> None:
    with Receiver() as shop:
        session = ask(server, successUrl=f"{shop.url}?order={{CHECKOUT_SESSION_ID}}")
        server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
        page.clock.install(time=(now := datetime.now(UTC)))
        # It leaves in ten seconds, which a busy machine may take here.
        page.clock.pause_at(now + timedelta(hours=1))
        page.goto(url_of(server, session))
        expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
        back = page.get_by_role("link", name="Back to the shop")
        expect(back).to_have_attribute("href", f"{shop.url}?order={session['id']}")
        expect(page.locator("#leaving")).to_contain_text("Returning to the shop in 00:")
        page.get_by_role("button", name="Stay on this page").click()
        expect(page.locator("#leaving")).to_be_hidden()
        expect(back).to_be_focused()
        page.reload()
        expect(page.locator("#leaving")).to_be_hidden()
        page.clock.run_for(60_000)
        assert page.url == url_of(server, session)


def test_the_other_code_is_drawn_without_leaving_the_page(server: Server, page: Page) -> None:
    page.goto(url_of(server, ask(server)))
    before = page.locator(".qr").inner_html()
    page.evaluate("window.untouched = true")
    page.get_by_role("link", name="Address only").click()
    expect(page.get_by_role("link", name="Address only")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="Address only")).to_be_focused()
    assert page.locator(".qr").inner_html() != before
    assert page.evaluate("window.untouched")
    assert page.url.endswith("?qr=address")


def look_after(page: Page, milliseconds: int) -> None:
    """Let the page's clock run until it has asked for the status and planned its next look."""
    with page.expect_response(lambda response: response.url.endswith("/status")) as look:
        page.clock.run_for(milliseconds)
    assert look.value.status == 304, "nothing is sent again that the page has"
    look.value.finished()
    page.evaluate("new Promise(requestAnimationFrame)")


def test_looking_stops_once_it_is_paid_and_slows_down_when_nobody_sees_it(server: Server, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/status") else None)
    session = ask(server)
    page.clock.install()
    page.goto(url_of(server, session))
    look_after(page, 4_000)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    look_after(page, 4_000)  # planned before it was hidden
    before = len(asked)
    page.clock.run_for(15_000)
    assert len(asked) == before
    look_after(page, 6_000)
    server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
    after = len(asked)
    page.clock.run_for(60_000)
    assert len(asked) == after


def test_a_page_looks_less_often_while_the_server_says_that_very_many_are_open(server: Server, page: Page) -> None:
    session = ask(server)
    asked: list[str] = []

    def crowded(route: Route) -> None:
        asked.append(route.request.url)
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "X-Poll-Seconds": "12"})

    page.route("**/status", crowded)
    page.clock.install()
    page.goto(url_of(server, session))
    for pause in (2_500, 12_000, 12_000):
        with page.expect_response(lambda response: response.url.endswith("/status")) as look:
            page.clock.run_for(pause)
        look.value.finished()
        page.evaluate("new Promise(requestAnimationFrame)")
    assert len(asked) == 3


def test_a_server_that_asks_for_patience_gets_it_without_a_word_to_the_payer(server: Server, page: Page) -> None:
    session = ask(server)
    page.route("**/status", lambda route: route.fulfill(status=429, headers={"Retry-After": "3"}, body="{}"), times=3)
    page.clock.install()
    page.goto(url_of(server, session))
    for longest in (2_500, 7_500, 15_000):
        with page.expect_response(lambda response: response.url.endswith("/status")) as look:
            page.clock.run_for(longest)
        look.value.finished()
        page.evaluate("new Promise(requestAnimationFrame)")
        assert look.value.status == 429
        expect(page.locator("#connection")).to_be_hidden()
    server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay").raise_for_status()
    page.clock.run_for(30_000)
    # On a slow machine the sandbox has made further blocks meanwhile.
    expect(page.get_by_role("main")).to_contain_text(re.compile("Confirming your payment|Payment complete"))
    expect(page.locator("#connection")).to_be_hidden()


def test_times_are_those_of_the_payers_own_clock(server: Server, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE", timezone_id="Europe/Berlin")
    page = context.new_page()
    session = ask(server)
    server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
    page.goto(url_of(server, session))
    assert re.search(r"\d{4}, \d\d:\d\d (MEZ|MESZ)", page.locator("time").inner_text())
    context.close()


# Languages


def test_the_browsers_language_is_spoken_and_another_can_be_chosen(server: Server, browser: Browser) -> None:
    context = browser.new_context(locale="fr-CA")
    page = context.new_page()
    page.goto(url_of(server, ask(server)))
    expect(page.get_by_role("heading", level=1)).to_have_text("Payer 49,90 USD")
    page.locator(".languages summary").click()
    page.get_by_role("link", name="עברית").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    page.goto(url_of(server, ask(server)))
    assert page.evaluate("document.documentElement.lang") == "he", "the choice is kept"
    context.close()


def test_a_receipt_stays_the_same_when_one_comes_back_to_it(server: Server, page: Page) -> None:
    session = ask(server)
    server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
    page.goto(url_of(server, session))
    shown = page.locator("dl").inner_text()
    page.goto("about:blank")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
    page.reload()
    assert page.locator("dl").inner_text() == shown


def test_a_payment_link_takes_a_chosen_language_along(server: Server, page: Page) -> None:
    link = server.api.post("/payment_links", json={"title": "Coffee", "fiatAmount": "3.50"}).json()
    page.goto(f"{server.url}/l/{link['slug']}?lang=uk")
    assert page.url.endswith("?lang=uk")
    expect(page.get_by_role("main")).to_contain_text("Очікуємо на ваш платіж")


# Without a script


def test_without_javascript_everything_can_be_done_in_any_language(server: Server, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, locale="it-IT")
    page = context.new_page()
    session = ask(server, successUrl="http://127.0.0.1:9/thanks")
    page.goto(url_of(server, session))
    expect(page.get_by_role("link", name="Aggiorna questa pagina")).to_be_visible()
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    page.get_by_role("link", name="Non aggiornare automaticamente").click()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
    expect(page.get_by_role("button", name="Copia l’indirizzo")).to_be_hidden()
    expect(page.locator("time")).to_contain_text("UTC")
    page.get_by_role("link", name="Solo indirizzo").click()
    expect(page.get_by_role("link", name="Solo indirizzo")).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Paga con denaro di prova").click()
    server.wait_until(
        lambda: server.api.get(f"/checkout_sessions/{session['id']}").json()["status"] == "paid", "see the payment"
    )
    page.goto(url_of(server, session))
    expect(page.get_by_role("heading", level=1)).to_have_text("Pagamento completato")
    expect(page.get_by_role("main")).to_contain_text(session["id"])
    expect(page.get_by_role("link", name="Torna al negozio")).to_be_visible()
    assert page.locator("meta[http-equiv=refresh]").count() == 0
    context.close()


@pytest.mark.parametrize(
    "broken", [None, "throw new Error('too old')", "const = 1"], ids=["blocked", "fails at once", "not understood"]
)
def test_where_its_script_does_not_run_the_page_shows_a_link_and_reloads_itself(
    server: Server, page: Page, broken: str | None
) -> None:
    page.route("**/checkout.js*", lambda route: route.abort() if broken is None else route.fulfill(body=broken))
    page.clock.install()
    session = ask(server)
    page.goto(url_of(server, session))
    expect(page.get_by_role("link", name="Refresh this page")).to_be_visible()
    server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay").raise_for_status()
    page.clock.fast_forward(11_000)
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("Pay 49.90 USD")
    page.goto(url_of(server, ask(server)))
    page.get_by_role("link", name="Stop refreshing").click()
    expect(page.locator("#payment")).to_have_attribute("data-refresh", "0")


def test_a_page_whose_script_runs_shows_no_link_to_refresh_it(server: Server, page: Page) -> None:
    page.goto(url_of(server, ask(server)))
    expect(page.locator("html.js")).to_be_attached()
    expect(page.get_by_role("link", name="Refresh this page")).to_be_hidden()


# Frames


def test_only_the_sites_of_the_configuration_may_frame_the_page(tmp_path: Path, browser: Browser) -> None:
    with Shopfront() as friend, Shopfront() as stranger:
        environ = {"CHECKOUT__CHECKOUT__ALLOW_EMBEDDING_FROM": f'["{friend.url}"]'}
        with Server(tmp_path, environ=environ) as server:
            session = ask(server, cancelUrl=f"{friend.url}/cart")
            friend.html = stranger.html = f'<iframe src="{url_of(server, session)}" width="400" height="900"></iframe>'
            page = browser.new_page()
            page.goto(stranger.url)
            expect(page.frame_locator("iframe").locator("#payment")).to_have_count(0)
            page.goto(friend.url)
            frame = page.frame_locator("iframe")
            expect(frame.locator("#payment")).to_be_visible()
            frame.get_by_role("link", name="Cancel and go back").click()
            page.wait_for_url(f"{friend.url}/cart")
            page.close()


def test_a_link_in_a_frame_makes_a_session_only_where_it_may_be_shown(tmp_path: Path, browser: Browser) -> None:
    with Shopfront() as friend, Shopfront() as stranger:
        environ = {"CHECKOUT__CHECKOUT__ALLOW_EMBEDDING_FROM": f'["{friend.url}"]'}
        with Server(tmp_path, environ=environ) as server:
            link = server.api.post("/payment_links", json={"title": "Coffee", "fiatAmount": "3.50"}).json()
            frame = f'<iframe src="{server.url}/l/{link["slug"]}" width="400" height="900"></iframe>'
            friend.html = stranger.html = frame
            hidden = f'<meta name="referrer" content="no-referrer">{frame}'

            def made() -> int:
                return len(server.api.get("/checkout_sessions").json()["data"])

            page = browser.new_page()
            page.goto(stranger.url, wait_until="networkidle")
            assert made() == 0
            page.goto(friend.url)
            expect(page.frame_locator("iframe").locator("#payment")).to_be_visible()
            assert made() == 1
            page.close()
            friend.html = hidden
            page = browser.new_page()
            page.goto(friend.url)
            page.frame_locator("iframe").get_by_role("button", name="Continue to payment").click()
            expect(page.frame_locator("iframe").locator("#payment")).to_be_visible()
            assert made() == 2
            page.close()


# What it weighs


def test_a_first_view_is_lighter_than_30_kb(server: Server, browser: Browser) -> None:
    for body in ({}, {"asset": "USDC"}):
        context = browser.new_context()
        page = context.new_page()
        sizes: list[float] = []
        network = context.new_cdp_session(page)
        network.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        network.send("Network.enable")
        page.goto(url_of(server, ask(server, **body)))
        page.wait_for_load_state("networkidle")
        context.close()
        assert len(sizes) >= 3
        assert sum(sizes) < 30_000, sizes

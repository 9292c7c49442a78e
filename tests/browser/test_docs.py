"""The documentation in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from crypto_checkout.http.docs.contents import GUIDES
from tests.http.docs.test_pages import PAGES
from tests.support.accessibility import too_wide, violations
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop")) as running:
        yield running


def test_pages_fit_narrow_screens_and_can_be_walked_by_keyboard(server: Server, browser: Browser) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for path in PAGES:
        page.goto(server.url + path)
        assert too_wide(page) == [], path
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        # Code that is cut off can be scrolled without a mouse.
        assert page.evaluate("[...document.querySelectorAll('pre')].every((each) => each.tabIndex === 0)")
    assert said == []
    page.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


def test_a_copy_button_copies_commands_without_the_prompt(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/docs/first-payment")
    block = page.locator(".code", has_text="links create").first
    block.get_by_role("button", name="Copy code").press("Enter")
    expect(block.get_by_role("button")).to_have_text("Copied")
    expect(page.get_by_role("status")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == 'crypto-checkout links create --title "A cup of coffee" --amount 3.50\n', "not what it prints"


def test_a_copy_button_copies_code_as_it_is(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/docs/python")
    page.get_by_role("button", name="Copy code").first.click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("pre").first.text_content()


def test_without_a_clipboard_the_code_is_selected(server: Server, page: Page) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto(f"{server.url}/docs/python")
    button = page.get_by_role("button", name="Copy code").first
    button.click()
    expect(button).to_have_text("Press Ctrl+C")
    assert page.evaluate("getSelection().toString()").strip() == str(page.locator("pre").first.text_content()).strip()


def test_without_javascript_there_is_no_copy_button_and_the_search_works(server: Server, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}/docs/first-payment")
    assert page.get_by_role("button").all_text_contents() == ["Search"]
    page.get_by_role("searchbox").fill("nginx")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("link", name="nginx").first.click()
    expect(page).to_have_url(f"{server.url}/docs/proxies#nginx")
    context.close()


def test_results_show_while_typing_and_are_walked_by_keyboard(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/docs/webhooks")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("/")
    page.keyboard.type("ngi")
    first = page.locator("#found a").first
    expect(first).to_contain_text("nginx")
    page.keyboard.type("nx")
    expect(page.get_by_role("status")).to_contain_text("result")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#found")).to_be_hidden()
    page.keyboard.press("Backspace")
    expect(first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.url}/docs/proxies#nginx")
    assert [url for url in asked if "search" in url] == [f"{server.url}/docs/search.json"], "the index is loaded once"


@pytest.mark.parametrize("query", ["webhook", "refund", "session paid", "url", "late payment", "cursor", "öäü"])
def test_both_searches_rank_alike(server: Server, page: Page, query: str) -> None:
    page.goto(f"{server.url}/docs/search?q={query}")
    of_the_server = [link.get_attribute("href") for link in page.locator(".results a").all()]
    page.get_by_role("searchbox").press("End")
    page.keyboard.type(" ")
    expect(page.locator("#found")).to_be_visible()
    while_typing = [link.get_attribute("href") for link in page.locator("#found li a").all()]
    assert while_typing == of_the_server[:8]


def test_a_click_on_a_result_leads_there(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/docs")
    page.get_by_role("searchbox").fill("trezor")
    page.locator("#found a", has_text="Trezor").first.click()
    page.wait_for_url(f"{server.url}/docs/wallets#trezor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_stumbles_over_nothing(server: Server, browser: Browser, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    for path in ("/docs", "/docs/api", "/docs/search?q=webhook", f"/docs/{GUIDES[0]}", "/docs/wallets"):
        page.goto(server.url + path)
        assert violations(page) == [], path
    context.close()

"""The page that asks for a coin: about what each costs, and what this browser's payer chose last time."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.checkout.network_costs import NetworkCost
from crypto_checkout.http.checkout.choose import whole_minutes
from tests.support.api import App, made, open_app
from tests.support.waiting import until

ASSETS = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]
OPTION = re.compile(r'name="choice" value="([^"]+)"')
HOST = "http://shop.example"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with open_app(tmp_path) as running:
        yield running


async def ask(app: App, currency: str = "USD") -> str:
    """Make a session with a choice; return its page."""
    body = {"amount": {"value": "4900", "currency": currency}, "assets": ASSETS}
    session = await made(app.api, "/checkout_sessions", body)
    return f"{HOST}/checkout/{session['id']}"


async def choose(browser: httpx.AsyncClient, page: str, choice: str, seen: str = "") -> httpx.Response:
    return await browser.post(f"{page}/choose", data={"choice": choice, "seen": seen})


def options(answer: httpx.Response) -> list[str]:
    return OPTION.findall(answer.text)


def text(answer: httpx.Response) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())


async def test_each_choice_shows_about_what_its_network_takes_and_how_long_it_lasts(app: App) -> None:
    browser = await app.anybody()

    async def is_shown() -> bool:
        return "Network fee:" in text(await browser.get(await ask(app)))

    await until(is_shown, "show the fees")
    shown = text(await browser.get(await ask(app)))
    # 21,000 and 65,000 gas at the sandbox's 1 gwei and 3,000 USD.
    assert "Network fee: about 0.06 USD" in shown
    assert "Network fee: about 0.20 USD" in shown
    assert "on top of the price" in shown


async def test_a_fee_below_the_smallest_amount_is_less_than_it(tmp_path: Path) -> None:
    async with open_app(tmp_path, prices={"fixed": {"ETH/USD": "100"}}) as app:
        browser = await app.anybody()

        async def is_shown() -> bool:
            return text(await browser.get(await ask(app))).count("Network fee: less than 0.01 USD") == 2

        await until(is_shown, "show the fees")


async def test_where_the_chains_pace_is_known_the_time_is_shown_in_minutes(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        await app.api.post("/test_helpers/chain/mine", json={"blocks": 60})
        browser = await app.anybody()

        async def is_shown() -> bool:
            return "Takes less than a minute" in text(await browser.get(await ask(app)))

        await until(is_shown, "show the time")


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(None, None), (0.5, 0), (59.9, 0), (60, 1), (60.1, 2), (780, 13), (12_000, 200)]
)
def test_minutes_are_whole_and_never_too_few(seconds: float | None, minutes: int | None) -> None:
    assert whole_minutes(NetworkCost(None, seconds)) == minutes


async def test_the_last_choice_comes_first_and_says_so(app: App) -> None:
    browser = await app.anybody()
    page = await ask(app)
    assert options(await browser.get(page)) == ["1337:ETH", "1337:USDC"]
    assert "last time" not in (await browser.get(page)).text
    await choose(browser, page, "1337:USDC")
    again = await browser.get(await ask(app))
    assert options(again) == ["1337:USDC", "1337:ETH"]
    assert again.text.count("You chose this last time") == 1
    assert again.headers["cache-control"] == "no-store"
    other = await (await app.anybody()).get(await ask(app))
    assert options(other) == ["1337:ETH", "1337:USDC"]


async def test_the_cookie_holds_chain_and_coin_and_nothing_else(app: App) -> None:
    browser = await app.anybody()
    answer = await choose(browser, await ask(app), "1337:USDC")
    pair, *attributes = answer.headers["set-cookie"].split("; ")
    assert pair == "last-choice=1337:USDC"
    assert {"HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={366 * 86_400}"} <= set(attributes)


async def test_over_https_no_neighbour_can_set_the_cookie(tmp_path: Path) -> None:
    async with open_app(tmp_path, server={"public_url": "https://pay.example"}) as app:
        browser = await app.anybody()
        answer = await choose(browser, await ask(app), "1337:USDC")
        pair, *attributes = answer.headers["set-cookie"].split("; ")
        assert pair == "__Host-last-choice=1337:USDC"
        assert {"Secure", "Path=/"} <= set(attributes)
        page = await browser.get(await ask(app), headers={"Cookie": "last-choice=1337:USDC"})
        assert options(page) == ["1337:ETH", "1337:USDC"]


async def test_only_a_choice_that_was_made_is_remembered(app: App) -> None:
    browser = await app.anybody()
    page = await ask(app)
    assert "set-cookie" not in (await choose(browser, page, "1337:DAI")).headers
    assert "set-cookie" not in (await choose(browser, page, "nonsense")).headers
    await choose(browser, page, "1337:USDC")
    outdated = await choose(await app.anybody(), page, "1337:ETH", seen="")
    assert "set-cookie" not in outdated.headers


@pytest.mark.parametrize(
    "cookie", ["1337:DAI", "8453:ETH", "1337", ":", "x" * 3000, '1337:"><script>', "%00:%00", "\uff11337:ETH"]
)
async def test_whatever_a_cookie_holds_the_page_is_as_without_it(app: App, cookie: str) -> None:
    browser = await app.anybody()
    page = await ask(app)
    header = {"Cookie": f"last-choice={cookie}".encode()}
    shown: Any = await browser.get(page, headers=header)  # type: ignore[arg-type]
    assert shown.status_code == 200
    assert options(shown) == ["1337:ETH", "1337:USDC"]
    assert "last time" not in shown.text


async def test_what_is_chosen_now_is_no_option_and_the_mark_stays_with_the_last_choice(app: App) -> None:
    browser = await app.anybody()
    page = await ask(app)
    await choose(browser, page, "1337:USDC")
    changing = await browser.get(f"{page}/choose")
    assert options(changing) == ["1337:ETH"]
    assert "last time" not in changing.text

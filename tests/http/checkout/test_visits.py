"""Visits to payment links: one session for each person who comes to pay, and none for anybody else."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.errors import LinkCrowded, RateLimitExceeded
from crypto_checkout.http import rate_limit
from crypto_checkout.http.rate_limit import RateLimit
from tests.support.api import LINK, App, Clock, RateClock, listed, made, open_app

SESSIONS, LINKS = "/checkout_sessions", "/payment_links"
TTL = 900
BURST = 500


def address_of(link: Mapping[str, Any], host: str = "http://shop.example") -> str:
    return f"{host}/l/{link['slug']}"


async def visit(browser: httpx.AsyncClient, link: Mapping[str, Any], host: str = "http://shop.example") -> str:
    """Open a link; return the id of the session that it leads to."""
    answer = await browser.get(address_of(link, host))
    assert answer.status_code == 303, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.headers["location"].removeprefix("/checkout/")


async def count(app: App) -> int:
    return len((await listed(app.api, SESSIONS, limit=100))["data"])


async def test_a_reload_shows_the_same_session_and_another_browser_gets_its_own(app: App) -> None:
    link, other = await made(app.api, LINKS, LINK), await made(app.api, LINKS, LINK)
    ada, bob = await app.anybody(), await app.anybody()
    first = await visit(ada, link)
    assert [await visit(ada, link) for _ in range(3)] == [first] * 3
    assert await visit(ada, other) != first
    assert await visit(bob, link) != first
    assert await count(app) == 3


async def test_the_cookie_is_the_browsers_alone_and_ends_with_the_session(app: App) -> None:
    link = await made(app.api, LINKS, LINK)
    answer = await (await app.anybody()).get(address_of(link))
    session_id = answer.headers["location"].removeprefix("/checkout/")
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == f"visit-{link['slug']}"
    value, *attributes = rest.split("; ")
    assert value == session_id
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(attributes)
    (age,) = (int(each.partition("=")[2]) for each in attributes if each.startswith("Max-Age="))
    assert TTL - 5 <= age <= TTL


async def test_over_https_no_neighbour_can_set_the_cookie(tmp_path: Path) -> None:
    async with open_app(tmp_path, server={"public_url": "https://pay.example"}) as app:
        link = await made(app.api, LINKS, LINK)
        browser = await app.anybody()
        answer = await browser.get(address_of(link))
        assert answer.headers["set-cookie"].startswith(f"__Host-visit-{link['slug']}=cs_")
        assert {"Secure", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
        stolen = answer.headers["location"].removeprefix("/checkout/")
        tossed = await app.anybody()
        again = await tossed.get(address_of(link), headers={"Cookie": f"visit-{link['slug']}={stolen}"})
        assert again.headers["location"] != answer.headers["location"]


async def test_what_is_paid_or_over_or_closed_is_not_shown_again(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        link = await made(app.api, LINKS, LINK)
        browser = await app.anybody()
        first = await visit(browser, link)
        await app.api.post(f"/test_helpers{SESSIONS}/{first}/pay", json={"amount": "0.001"})
        assert await visit(browser, link) == first  # some of it has come: it goes on where it was
        await app.api.post(f"/test_helpers{SESSIONS}/{first}/pay")
        assert await visit(browser, link) == first  # seen, not confirmed: nobody should pay twice
        await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
        second = await visit(browser, link)
        assert second != first
        await app.api.post(f"{SESSIONS}/{second}/expire")
        third = await visit(browser, link)
        assert third != second
        clock.move(seconds=TTL)
        assert await visit(browser, link) != third


@pytest.mark.parametrize("change", [{"fiatAmount": "31.00"}, {"asset": "USDC"}, {"title": "Two books"}])
async def test_a_link_that_was_changed_makes_a_new_session(app: App, change: dict[str, Any]) -> None:
    link = await made(app.api, LINKS, LINK)
    browser = await app.anybody()
    first = await visit(browser, link)
    await app.api.patch(f"{LINKS}/{link['id']}", json=change)
    second = await visit(browser, link)
    assert second != first
    assert await visit(browser, link) == second


@pytest.mark.parametrize(
    "cookie",
    [
        "cs_00000000000000000000000000",
        "nonsense",
        "",
        "pl_00000000000000000000000000",
        "cs_" + "A" * 3000,
        '"cs_\\"',
        "another link's",
        "no link's",
    ],
)
async def test_a_cookie_that_is_not_this_links_is_passed_over(app: App, cookie: str) -> None:
    link, other = await made(app.api, LINKS, LINK), await made(app.api, LINKS, LINK)
    foreign = {
        "another link's": (await made(app.api, SESSIONS, {"linkId": other["id"]}))["id"],
        "no link's": (await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}}))["id"],
    }
    headers = {"Cookie": f"visit-{link['slug']}={foreign.get(cookie, cookie)}"}
    answer = await (await app.anybody()).get(address_of(link), headers=headers)
    assert answer.status_code == 303
    session_id = answer.headers["location"].removeprefix("/checkout/")
    assert session_id not in foreign.values()
    assert (await app.api.get(f"{SESSIONS}/{session_id}")).json()["linkId"] == link["id"]


LOOKS = {
    "HEAD": ("HEAD", {}),
    "a prefetch of Chromium": ("GET", {"Sec-Purpose": "prefetch;prerender"}),
    "a prefetch of Safari": ("GET", {"Purpose": "prefetch"}),
    "a prefetch of old Firefox": ("GET", {"X-Moz": "prefetch"}),
    "a preview": ("GET", {"User-Agent": "WhatsApp/2.23.20"}),
    "an image of another site": ("GET", {"Sec-Fetch-Mode": "no-cors"}),
    "a script's request": ("GET", {"Sec-Fetch-Mode": "cors"}),
}


@pytest.mark.parametrize("name", LOOKS)
async def test_who_only_looks_makes_no_session(app: App, name: str) -> None:
    link = await made(app.api, LINKS, LINK)
    method, headers = LOOKS[name]
    answer = await (await app.anybody()).request(method, address_of(link), headers=headers)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert await count(app) == 0


@pytest.mark.parametrize("name", ["", "a preview"])
async def test_an_inactive_link_and_a_deleted_one_say_so_to_everybody(app: App, name: str) -> None:
    link = await made(app.api, LINKS, LINK)
    method, headers = LOOKS.get(name, ("GET", {}))
    browser = await app.anybody()
    ongoing = await visit(browser, link)
    await app.api.patch(f"{LINKS}/{link['id']}", json={"active": False})
    off = await browser.request(method, address_of(link), headers=headers)
    assert off.status_code == 400
    assert "This link is inactive" in off.text
    await app.api.delete(f"{LINKS}/{link['id']}")
    gone = await browser.request(method, address_of(link), headers=headers)
    assert gone.status_code == 404
    assert "This payment link no longer exists" in gone.text
    assert "Ask the shop for a new link" in gone.text
    assert (await browser.get(f"http://shop.example/checkout/{ongoing}")).status_code == 200


@pytest.mark.usefixtures("still_rate_limits")
async def test_one_client_that_floods_a_link_is_stopped_with_a_kind_page(app: App) -> None:
    link = await made(app.api, LINKS, LINK)
    answers = []
    for _ in range(70):
        client = await app.anybody(address="192.0.2.7")
        answers.append(await client.get(address_of(link)))
    assert [answer.status_code for answer in answers].count(303) == 60
    refused = answers[-1]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "One moment, please" in refused.text
    elsewhere = await app.anybody(address="192.0.2.8")
    assert (await elsewhere.get(address_of(link))).status_code == 303


async def test_looking_and_reloading_take_nothing_from_the_visits_of_a_client(app: App) -> None:
    link = await made(app.api, LINKS, LINK)
    ada = await app.anybody(address="192.0.2.9")
    first = await visit(ada, link)
    for method, headers in (("HEAD", {}), LOOKS["a preview"], LOOKS["a prefetch of Chromium"]):
        looks = [await ada.request(method, address_of(link), headers=headers) for _ in range(15)]
        assert {answer.status_code for answer in looks} == {200}
    assert [await visit(ada, link) for _ in range(10)] == [first] * 10
    assert await visit(await app.anybody(address="192.0.2.9"), link) != first
    assert await count(app) == 2


@pytest.mark.usefixtures("still_rate_limits")
async def test_a_flood_from_many_networks_crowds_one_link_and_shuts_nobody_out(app: App) -> None:
    link, other = await made(app.api, LINKS, LINK), await made(app.api, LINKS, LINK)
    ada = await app.anybody(address="198.51.100.1")
    first = await visit(ada, link)
    attackers = [f"10.0.{place}.{number}" for number in range(1, 11) for place in range(60)]
    answers = [await (await app.anybody(address=address)).get(address_of(link)) for address in attackers]
    assert [answer.status_code for answer in answers].count(303) == BURST - 1
    crowded = answers[-1]
    assert (crowded.status_code, crowded.headers.get("set-cookie")) == (200, None)
    assert "A lot of people are opening this link" in crowded.text
    assert "no real money" in crowded.text
    pressed = [await press(app, address, link) for address in attackers[: 60 * 4]]
    assert [answer.status_code for answer in pressed].count(303) == 60 * 3, "each network has a share"
    assert pressed[-1].status_code == 429
    assert int(pressed[-1].headers["retry-after"]) >= 1
    newcomers = [f"203.0.{place}.7" for place in range(33)]
    assert [(await press(app, address, link)).status_code for address in newcomers] == [303] * 33
    assert await visit(ada, link) == first  # who is paying already goes on
    assert await visit(await app.anybody(address="203.0.113.1"), other)
    await made(app.api, SESSIONS, {"linkId": link["id"]})  # the merchant has a limit of their own


async def press(
    app: App, address: str, link: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Press the button of a link's page."""
    return await (await app.anybody(address=address)).post(address_of(link), headers=headers)


@pytest.mark.usefixtures("still_rate_limits")
@pytest.mark.parametrize("address", ["192.0.2.9", "2001:db8:1:2::9"])
async def test_forty_customers_of_one_wifi_scan_one_poster_while_sixty_pages_are_open(app: App, address: str) -> None:
    link = await made(app.api, LINKS, LINK)
    session = await made(app.api, SESSIONS, {"linkId": link["id"]})
    screen = await app.anybody(address=address)
    for _ in range(300):  # sixty pages look five times
        assert (await screen.get(f"http://shop.example/checkout/{session['id']}/status")).status_code == 200
    busy = await screen.get(f"http://shop.example/checkout/{session['id']}/status")
    assert busy.status_code == 429
    assert int(busy.headers["retry-after"]) >= 1
    for _ in range(40):
        customer = await app.anybody(address=address)
        session_id = await visit(customer, link)
        assert (await customer.get(f"http://shop.example/checkout/{session_id}")).status_code == 200


def test_one_client_makes_few_sessions_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(RateLimit.__init__, "__kwdefaults__", {"clock": lambda: now})
    limit = rate_limit.LinkLimit()
    allowed = 0
    for _ in range(8_640):
        now += 10
        with contextlib.suppress(RateLimitExceeded):
            limit.visit("192.0.2.7", "pl_1")
            allowed += 1
    assert allowed <= 1_500


@pytest.mark.parametrize(
    ("addresses", "most"),
    [
        ([f"192.0.2.{number}" for number in range(256)], 200),
        ([f"2001:db8:1:{number:x}::1" for number in range(256)], 200),
        ([f"2001:db8:1:1::{number:x}" for number in range(256)], 60),
    ],
)
@pytest.mark.usefixtures("still_rate_limits")
def test_a_network_has_a_limit_of_its_own(addresses: Sequence[str], most: int) -> None:
    limit, allowed = rate_limit.LinkLimit(), 0
    for address in addresses:
        with contextlib.suppress(RateLimitExceeded):
            limit.visit(address, "pl_1")
            allowed += 1
    assert allowed == most
    limit.visit("198.51.100.1", "pl_1")
    with pytest.raises(RateLimitExceeded):
        limit.insist(addresses[-1], "pl_1")


def test_who_presses_in_vain_keeps_the_share_of_their_network(still_rate_limits: RateClock) -> None:
    limit = rate_limit.LinkLimit()
    networks = [f"10.{number // 256}.{number % 256}.1" for number in range(900)]
    for address in networks:
        with contextlib.suppress(LinkCrowded):
            limit.insist(address, "pl_1")
    for _ in range(5):
        with pytest.raises(LinkCrowded):
            limit.insist("192.0.2.7", "pl_1")
    still_rate_limits.now += 3
    for address in networks[:3]:  # the allowance of the link itself comes back, too
        limit.visit(address, "pl_1")
    limit.insist("192.0.2.7", "pl_1")


FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}


async def test_a_frame_makes_a_session_only_for_a_site_that_may_show_it(tmp_path: Path) -> None:
    async with open_app(tmp_path, checkout={"allow_embedding_from": ["https://friend.example"]}) as app:
        link = await made(app.api, LINKS, LINK)
        for referer in ({}, {"Referer": "https://stranger.example/"}, {"Referer": "https://friend.example.evil/"}):
            answer = await (await app.anybody()).get(address_of(link), headers={**FRAME, **referer})
            assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
        assert await count(app) == 0
        friend = await app.anybody()
        answer = await friend.get(address_of(link), headers={**FRAME, "Referer": "https://friend.example/basket"})
        assert answer.status_code == 303
        # A friend that sends no Referer shows the page with the button, which is this site's own.
        own = {**FRAME, "Sec-Fetch-Site": "same-origin"}
        assert (await press(app, "127.0.0.1", link, own)).status_code == 303
        assert await count(app) == 2


async def test_no_other_site_can_press_the_button(app: App) -> None:
    link = await made(app.api, LINKS, LINK)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        answer = await press(app, "127.0.0.1", link, headers)
        assert answer.status_code == 403
    assert await count(app) == 0
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://shop.example"}, {}):
        assert (await press(app, "127.0.0.1", link, headers)).status_code == 303


async def test_who_was_taken_for_a_bot_presses_the_button(app: App) -> None:
    link = await made(app.api, LINKS, LINK)
    method, headers = LOOKS["a preview"]
    browser = await app.anybody()
    shown = await browser.request(method, address_of(link), headers=headers)
    assert f'<form class="wide" method="post" action="/l/{link["slug"]}">' in shown.text
    assert shown.headers["referrer-policy"] == "same-origin"
    answer = await browser.post(address_of(link), headers=headers)
    assert answer.status_code == 303
    session_id = answer.headers["location"].removeprefix("/checkout/")
    assert await visit(browser, link) == session_id, "and the same session shows at the next visit"


@pytest.mark.parametrize("change", ["off", "gone"])
async def test_the_button_of_a_link_that_is_off_or_gone_says_so(app: App, change: str) -> None:
    link = await made(app.api, LINKS, LINK)
    if change == "off":
        await app.api.patch(f"{LINKS}/{link['id']}", json={"active": False})
    else:
        await app.api.delete(f"{LINKS}/{link['id']}")
    answer = await press(app, "127.0.0.1", link)
    assert answer.status_code == (400 if change == "off" else 404)


async def test_a_reload_of_a_link_with_a_choice_keeps_what_was_chosen(app: App) -> None:
    assets = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]
    link = await made(app.api, LINKS, {**LINK, "assets": assets})
    browser = await app.anybody()
    session_id = await visit(browser, link)
    page = f"http://shop.example/checkout/{session_id}"
    await browser.post(f"{page}/choose", data={"choice": "1337:USDC", "seen": ""})
    assert await visit(browser, link) == session_id
    assert (await app.api.get(f"{SESSIONS}/{session_id}")).json()["asset"] == "USDC"
    other = await app.anybody()
    theirs = await visit(other, link)
    assert theirs != session_id
    assert (await app.api.get(f"{SESSIONS}/{theirs}")).json()["assetChosen"] is False

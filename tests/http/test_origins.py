"""Forms from another site are told from our own, whatever proxy stands between and however old a browser is."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.routing import Route

from crypto_checkout.http import origins
from tests.support.api import LINK, App, made, open_app

PUBLIC = "https://pay.example"
UPSTREAM = "127.0.0.1:4020"
TWO_COINS = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]


@pytest.mark.parametrize(
    ("headers", "crosses"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": PUBLIC}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy"}, False),
        ({"Origin": PUBLIC}, False),
        ({"Origin": "https://Pay.Example"}, False),
        ({"Origin": "https://pay.example:443"}, False),
        ({"Origin": "https://pay.example:8443"}, True),
        ({"Origin": "https://pay.example:0"}, True),
        ({"Origin": "https://pay.example@evil.example"}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "https://["}, True),
        ({"Origin": "https://pay.example:x"}, True),
    ],
)
@pytest.mark.parametrize("host", ["pay.example", "pay.example:443", "Pay.Example", UPSTREAM, "upstream", "["])
def test_another_sites_form_is_told_from_ones_own(headers: dict[str, str], crosses: bool, host: str) -> None:
    assert origins.is_cross_site(Headers({"Host": host, **headers}), PUBLIC) is crosses


@pytest.mark.parametrize(
    ("public_url", "host", "origin"),
    [
        ("http://127.0.0.1:4020", "localhost:4020", "http://localhost:4020"),
        ("http://127.0.0.1:80", "upstream", "http://127.0.0.1"),
        ("https://pay.example:443", "upstream", "https://pay.example"),
        ("https://pay.example", "shop.internal:80", "http://shop.internal"),
        ("https://pay.example:8443", "upstream", "https://pay.example:8443"),
        ("https://pay.example", "upstream", "http://pay.example"),
    ],
)
def test_the_host_that_was_asked_and_the_public_one_are_our_own_names(public_url: str, host: str, origin: str) -> None:
    headers = Headers({"Host": host, "Origin": origin})
    assert not origins.is_cross_site(headers, public_url)
    assert origins.is_cross_site(headers, "https://other.example") == (host == "upstream")


@pytest.mark.parametrize(
    ("headers", "is_plain"),
    [
        ({}, False),
        ({"Origin": PUBLIC}, False),
        ({"Origin": "http://pay.example"}, True),
        ({"Origin": "http://192.168.1.5:4020"}, True),
        ({"Origin": "http://127.0.0.1:4020", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:4020"}, True),  # Safari, which keeps no such cookie there
        ({"X-Forwarded-Proto": "http"}, True),
        ({"X-Forwarded-Proto": "HTTP, https"}, True),
        ({"X-Forwarded-Proto": "https"}, False),
        # A proxy behind another one, which took off the TLS.
        ({"X-Forwarded-Proto": "http", "Origin": PUBLIC}, False),
        ({"X-Forwarded-Proto": "http", "Sec-Fetch-Site": "none"}, False),
    ],
)
def test_a_browser_that_came_by_http_is_told_from_one_that_came_by_https(
    headers: dict[str, str], is_plain: bool
) -> None:
    assert origins.is_plain_http(Headers(headers), PUBLIC) is is_plain
    assert not origins.is_plain_http(Headers(headers), "http://127.0.0.1:4020")


async def forms_of_payers(app: App) -> dict[str, tuple[str, dict[str, str]]]:
    """Return each POST of the payers' pages: its path and its form, by its route."""
    link = await made(app.api, "/payment_links", LINK)
    session = await made(app.api, "/checkout_sessions", {"amount": {"value": "3.00", "currency": "USD"}})
    chosen = await made(
        app.api, "/checkout_sessions", {"amount": {"value": "3.00", "currency": "USD"}, "assets": TWO_COINS}
    )
    asking = await made(
        app.api,
        "/checkout_sessions",
        {"amount": {"value": "3.00", "currency": "USD"}, "payerFields": {"name": "required"}},
    )
    overpaid = await made(app.api, "/checkout_sessions", {"amount": {"value": "3.00", "currency": "USD"}})
    await app.api.post(f"/test_helpers/checkout_sessions/{overpaid['id']}/pay", json={"amount": "1"})
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    page = await (await app.anybody()).get(f"http://{UPSTREAM}/checkout/{overpaid['id']}/refund")
    item = re.search(r'name="item" value="([^"]*)"', page.text)
    assert item is not None
    return {
        "/checkout/{id}/refund": (
            f"/checkout/{overpaid['id']}/refund",
            {"item": item[1], "action": "give", "address": "0x00000000000000000000000000000000000decaf"},
        ),
        "/l/{slug}": (f"/l/{link['slug']}", {}),
        "/checkout/{id}/choose": (f"/checkout/{chosen['id']}/choose", {"choice": "1337:USDC"}),
        "/checkout/{id}/details": (f"/checkout/{asking['id']}/details", {"name": "Ada"}),
        "/checkout/{id}/test/pay": (f"/checkout/{session['id']}/test/pay", {}),
    }


async def test_every_form_of_payers_works_behind_a_proxy_that_rewrites_the_host(tmp_path: Path) -> None:
    async with open_app(tmp_path, server={"public_url": PUBLIC}) as app:
        forms = await forms_of_payers(app)
        routes = {
            route.path
            for route in app.opened.web.routes
            if isinstance(route, Route) and "POST" in (route.methods or ()) and not route.path.startswith("/api/")
        }
        assert routes == forms.keys(), "a form that is missing here"
        for path, form in forms.values():
            for origin, status in ((f"{PUBLIC}:443", 303), ("https://evil.example", 403), ("null", 403)):
                answer = await send(app, path, form, origin)
                assert answer.status_code == status, (path, origin)


async def send(app: App, path: str, form: dict[str, str], origin: str) -> httpx.Response:
    headers = {"Host": UPSTREAM, "Origin": origin}
    return await (await app.anybody()).post(f"http://{UPSTREAM}{path}", data=form, headers=headers)

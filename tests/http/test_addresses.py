"""Addresses as people and browsers type and guess them: a slash too many, an icon linked nowhere, a dead end."""

from struct import unpack

import httpx
from starlette.routing import Route

from crypto_checkout.http.docs.contents import GUIDES
from tests.support.api import LINK, PRICE, App, made
from tests.support.dashboard import signed_in, visitor

SITE = "http://shop.example"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NO_PAGES = ("/api/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/favicon.ico", "/apple-touch-icon.png")


async def addresses(app: App) -> list[str]:
    """Return an address of each page of payers and of the documentation, and fail for a route that has none here."""
    link, session = await made(app.api, "/payment_links", LINK), await made(app.api, "/checkout_sessions", PRICE)
    parts = {"slug": link["slug"], "id": session["id"], "guide": GUIDES[0]}
    return [
        route.path.format(**parts)
        for route in app.opened.web.routes
        if isinstance(route, Route) and "GET" in (route.methods or ()) and not route.path.startswith(NO_PAGES)
    ]


async def test_a_slash_too_many_leads_to_every_page(app: App) -> None:
    anybody = await app.anybody()
    for path in await addresses(app):
        if path == "/":
            continue
        for slashes in ("/", "//"):
            answer = await anybody.get(f"{SITE}{path}{slashes}", params={"lang": "de"})
            assert (answer.status_code, answer.headers.get("location")) == (308, f"{path}?lang=de"), path
        answer = await anybody.head(f"{SITE}{path}/")
        assert (answer.status_code, answer.headers["location"]) == (308, path)


async def test_a_slash_too_many_leads_to_every_page_of_the_dashboard_signed_in_or_not(app: App) -> None:
    for client in (await signed_in(app), await visitor(app)):
        for path in ("/dashboard/", "/dashboard/sign-in/", "/dashboard/test/payments//", "/dashboard/x/"):
            answer = await client.get(f"{SITE}{path}?after=7")
            assert (answer.status_code, answer.headers["location"]) == (308, f"{path.rstrip('/')}?after=7")


async def test_a_slash_leads_nowhere_else(app: App) -> None:
    anybody = await app.anybody()
    for path in ("//evil.example/", "//evil.example/docs/", "///", "/nothing/", "/l/", "/l//docs/"):
        answer = await anybody.get(f"{SITE}{path}", headers=BROWSER)
        assert answer.status_code == 404, path
        assert "location" not in answer.headers


async def test_the_paths_of_the_api_are_exact(app: App) -> None:
    answer = await app.api.get("/payment_links/", headers=BROWSER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "route_not_found")
    link = await made(app.api, "/payment_links", LINK)
    assert (await app.api.post(f"{SITE}/l/{link['slug']}/")).status_code == 404, "a form's body isn't sent on"


async def test_a_browser_finds_icons_where_it_looks_for_them(app: App) -> None:
    anybody = await app.anybody()
    icon = await anybody.get(f"{SITE}/favicon.ico")
    assert icon.headers["content-type"] in {"image/x-icon", "image/vnd.microsoft.icon"}
    assert icon.headers["cache-control"] == "public, max-age=86400"
    kind, count = unpack("<2xHH", icon.content[:6])
    assert (kind, count) == (1, 3)
    touch = await anybody.get(f"{SITE}/apple-touch-icon.png")
    assert touch.headers["content-type"] == "image/png"
    assert unpack(">II", touch.content[16:24]) == (180, 180)


async def test_every_icon_that_a_page_names_is_there(app: App) -> None:
    anybody = await app.anybody()
    for path in ("/", "/docs", "/dashboard/sign-in"):
        page = (await anybody.get(f"{SITE}{path}", headers=BROWSER)).text
        named = [
            line.partition('href="')[2].partition('"')[0]
            for line in page.splitlines()
            if line.startswith("<link") and "icon" in line
        ]
        assert len(named) == 2, path
        for each in named:
            assert (await anybody.get(f"{SITE}{each}")).status_code == 200


async def test_a_browser_is_told_by_a_page_that_nothing_is_there_and_a_program_by_json(app: App) -> None:
    anybody = await app.anybody(address="203.0.113.9")
    for path in ("/nothing", "/docs/nothing", "/static/nothing.css", "/branding/logo", "/metrics", "/checkout/cs_x"):
        page = await anybody.get(f"{SITE}{path}", headers=BROWSER)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        assert "Page not found" in page.text
        if not path.startswith("/checkout/"):
            answer = await anybody.get(f"{SITE}{path}", headers={"Accept": "application/json"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "route_not_found"), path


async def test_the_address_of_a_refused_form_leads_back_to_the_payment(app: App) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    anybody: httpx.AsyncClient = await app.anybody()
    page = f"/checkout/{session['id']}"
    refused = await anybody.post(f"{SITE}{page}/test/pay", headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403
    for form in ("test/pay", "choose"):
        answer = await anybody.get(f"{SITE}{page}/{form}", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (303, page)

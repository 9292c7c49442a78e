"""Filters survive: a page opened from a list leads back to it as it was, and never to another site."""

from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from crypto_checkout.http.dashboard.frame import way_back
from tests.support.api import PRICE, App, made, open_app
from tests.support.dashboard import signed_in
from tests.support.shop import XPUB


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


async def text_of(owner: httpx.AsyncClient, url: str) -> str:
    answer = await owner.get(url.removeprefix("/dashboard"))
    assert answer.status_code == 200, answer.text
    return answer.text


def link(page: str, before: str, within: str = "<main") -> str:
    """Return the URL of the first link whose address begins so."""
    main = page.partition(within)[2]
    return unescape(before + main.partition(f'href="{before}')[2].partition('"')[0])


def crumb(page: str) -> tuple[str, str]:
    """Return the address and the words of the link back."""
    found = page.partition('class="crumb"><a href="')[2]
    url, _, rest = found.partition('">')
    return unescape(url), unescape(rest.partition("</a>")[0])


async def test_a_payment_leads_back_to_the_list_with_its_filters_and_page(app: App, owner: httpx.AsyncClient) -> None:
    for number in range(27):
        await made(app.api, "/checkout_sessions", {**PRICE, "metadata": {"order": f"A&B #{number % 2}"}})
    first = await text_of(owner, "/test/payments?status=pending&q=A%26B+%230")
    assert crumb(await text_of(owner, link(first, "/dashboard/test/payments/cs_"))) == (
        "/dashboard/test/payments?status=pending&q=A%26B+%230",
        "← Payments (filtered)",
    )
    plain = await text_of(owner, "/test/payments")
    assert crumb(await text_of(owner, link(plain, "/dashboard/test/payments/cs_"))) == (
        "/dashboard/test/payments",
        "← Payments",
    )
    older = link(plain, "/dashboard/test/payments?after")
    assert crumb(await text_of(owner, link(await text_of(owner, older), "/dashboard/test/payments/cs_"))) == (
        older,
        "← Payments",
    )


@pytest.mark.parametrize("action", ["check", "expire"])
async def test_after_an_action_the_page_still_knows_where_it_was_opened_from(
    app: App, owner: httpx.AsyncClient, action: str
) -> None:
    await made(app.api, "/checkout_sessions", PRICE)
    page = await text_of(
        owner, link(await text_of(owner, "/test/payments?status=pending"), "/dashboard/test/payments/cs_")
    )
    form = unescape(page.partition(f"/{action}?")[0].rpartition('action="')[2] + f"/{action}?")
    form += unescape(page.partition(f"/{action}?")[2].partition('"')[0])
    answer = await owner.post(form.removeprefix("/dashboard"))
    assert answer.status_code == 303
    assert crumb(await text_of(owner, answer.headers["location"]))[0] == "/dashboard/test/payments?status=pending"


async def test_from_a_customer_to_a_payment_and_all_the_way_back(app: App, owner: httpx.AsyncClient) -> None:
    for email in ("ada@example.com", "bo@example.com"):
        session = await made(app.api, "/checkout_sessions", {**PRICE, "customerEmail": email})
        await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
    customers = "/dashboard/test/customers?q=ada&sort=payment"
    customer = link(await text_of(owner, customers), "/dashboard/test/customers/cus_")
    payment = link(await text_of(owner, customer), "/dashboard/test/payments/cs_")
    back, words = crumb(await text_of(owner, payment))
    assert (back, words) == (customer, "← Back")
    assert crumb(await text_of(owner, back)) == (customers, "← Customers (filtered)")
    saved = await owner.post(customer.removeprefix("/dashboard"), data={"name": "Ada", "notes": ""})
    assert crumb(await text_of(owner, saved.headers["location"]))[0] == customers
    refused = await owner.post(customer.removeprefix("/dashboard"), data={"name": "Ada", "notes": "nothing"})
    assert crumb(refused.text)[0] == customers


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/..//evil.example",
        "/%2e%2e/evil",
        "/.%09/evil",
        "javascript:alert(1)",
        '/payments#"><script>',
        "/payments\r\nSet-Cookie: a=b",
        "/payments?q=" + "x" * 2_000,
        "payments",
        "/payments/",
    ],
)  # fmt: skip
async def test_a_way_back_to_anywhere_else_is_no_way_back(app: App, owner: httpx.AsyncClient, path: str) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    page = await owner.get(f"/test/payments/{session['id']}", params={"back": path})
    assert crumb(page.text) == ("/dashboard/test/payments", "← Payments")
    answer = await owner.post(f"/test/payments/{session['id']}/check", params={"back": path})
    assert answer.headers["location"] == f"/dashboard/test/payments/{session['id']}"
    assert not way_back.is_path(path)


@pytest.mark.parametrize(
    "path", ["/", "/payments", "/payments?status=paid&q=a%20b", "/customers/cus_1?back=%2Fcustomers"]
)
async def test_a_way_back_stays_within_the_dashboard(app: App, owner: httpx.AsyncClient, path: str) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    page = await owner.get(f"/test/payments/{session['id']}", params={"back": path})
    assert crumb(page.text)[0] == "/dashboard/test" + ("" if path == "/" else path)


async def test_the_other_mode_keeps_the_filters_that_it_knows(tmp_path_factory: pytest.TempPathFactory) -> None:
    chain = {"id": 31337, "name": "Nowhere", "rpc_urls": ["http://127.0.0.1:1"]}
    async with open_app(tmp_path_factory.mktemp("both"), wallet={"xpub": XPUB}, chains=[chain]) as app:
        owner = await signed_in(app)
        session = await made(app.api, "/checkout_sessions", PRICE)

        async def live(path: str) -> str:
            return unescape(
                (await owner.get(path)).text.partition('data-mode="live"')[0].rpartition('href="')[2].partition('"')[0]
            )

        filtered = await live("/test/payments?status=paid&q=tea&after=3&link=pl_1")
        assert urlsplit(filtered).path == "/dashboard/payments"
        assert parse_qs(urlsplit(filtered).query) == {"status": ["paid"], "q": ["tea"]}
        assert await live(f"/test/payments/{session['id']}?back=%2Fpayments%3Fq%3Dtea") == "/dashboard/payments"
        assert await live("/test/customers?q=ada&sort=payment&page=2") == "/dashboard/customers?q=ada&sort=payment"
        assert await live("/test/balances/collections") == "/dashboard/balances/collections"
        assert await live(f"/test/refunds/new?session={session['id']}") == "/dashboard/refunds"
        assert await live("/test/nothing/here") == "/dashboard"

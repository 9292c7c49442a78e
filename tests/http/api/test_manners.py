"""HTTP as it is meant: OPTIONS, HEAD, ETags, compression, and headers that keep browsers out of trouble."""

import httpx
import pytest

from tests.support.api import ENDPOINT, LINK, PRICE, App, made

SESSIONS = "/checkout_sessions"


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (SESSIONS, "GET, HEAD, OPTIONS, POST"),
        ("/payment_links/pl_1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/test_helpers/chain/mine", "OPTIONS, POST"),
    ],
)
async def test_options_tells_the_methods_to_anybody_and_allows_no_other_site(app: App, path: str, allow: str) -> None:
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await (await app.anybody()).options(path, headers=asking)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == allow
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_no_answer_allows_another_site(api: httpx.AsyncClient) -> None:
    answer = await api.get(SESSIONS, headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SESSIONS, PRICE),
        ("/payment_links", LINK),
        ("/webhook_endpoints", ENDPOINT),
        ("/customers", {"email": "ada@example.com"}),
    ],
)
async def test_what_is_known_is_not_sent_again(api: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
    one = f"{path}/{(await made(api, path, body))['id']}"
    api.headers["Accept-Encoding"] = "identity"  # compression makes tags weak
    first = await api.get(one)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await api.get(one, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert "ratelimit-limit" in again.headers
    assert (await api.get(one, headers={"If-None-Match": '"other"'})).json() == first.json()
    assert (await api.head(one)).headers["etag"] == tag


async def test_a_change_makes_another_tag(api: httpx.AsyncClient) -> None:
    path = f"/payment_links/{(await made(api, '/payment_links', LINK))['id']}"
    before = (await api.get(path)).headers["etag"]
    assert (await api.patch(path, json={"title": "Another book"})).status_code == 200
    after = await api.get(path, headers={"If-None-Match": before})
    assert (after.status_code, after.json()["title"]) == (200, "Another book")
    assert after.headers["etag"] != before


async def test_a_tag_is_of_no_use_without_a_good_key(app: App) -> None:
    path = f"/payment_links/{(await made(app.api, '/payment_links', LINK))['id']}"
    tag = (await app.api.get(path)).headers["etag"]
    assert (await (await app.anybody()).get(path, headers={"If-None-Match": tag})).status_code == 401


async def test_long_answers_are_compressed_for_those_who_take_it(api: httpx.AsyncClient) -> None:
    for _ in range(5):
        await made(api, SESSIONS, PRICE)
    plain = await api.get(SESSIONS, headers={"Accept-Encoding": "identity"})
    packed = await api.get(SESSIONS, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 4


@pytest.mark.parametrize("refusal", ["gzip;q=0", "br, GZIP ; q=0.000", "gzip;q=0, identity"])
async def test_a_weight_of_zero_refuses_compression(api: httpx.AsyncClient, refusal: str) -> None:
    for _ in range(5):
        await made(api, SESSIONS, PRICE)
    plain = await api.get(SESSIONS, headers={"Accept-Encoding": refusal})
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    wanted = await api.get(SESSIONS, headers={"Accept-Encoding": "gzip;q=0.1"})
    assert wanted.headers["content-encoding"] == "gzip"


async def test_short_answers_are_not(api: httpx.AsyncClient) -> None:
    assert "content-encoding" not in (await api.get("/payment_links", headers={"Accept-Encoding": "gzip"})).headers


async def test_a_compressed_answer_has_a_weak_tag_that_is_known_again(app: App) -> None:
    nobody = await app.anybody()
    packed = await nobody.get("http://shop.example/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["etag"].startswith('W/"')
    again = await nobody.get("http://shop.example/openapi.json", headers={"If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/api/v1/checkout_sessions", "/nothing", "/healthz", "/openapi.json", "/docs", "/"])
async def test_every_answer_keeps_browsers_out_of_trouble(app: App, path: str) -> None:
    answer = await app.api.get(f"http://shop.example{path}")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-request-id"]


# --- currencies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "currency", "shown"), [("1500", "JPY", "1500"), ("9.210", "KWD", "9.210"), ("10", "USD", "10.00")]
)
async def test_a_price_has_the_decimals_of_its_currency(
    api: httpx.AsyncClient, value: str, currency: str, shown: str
) -> None:
    session = await made(api, SESSIONS, {"amount": {"value": value, "currency": currency}})
    assert session["fiat"] == {"amount": shown, "currency": currency}
    assert session["rate"]["quote"] == currency
    link = await made(api, "/payment_links", {**LINK, "fiatAmount": value, "fiatCurrency": currency})
    assert (link["fiatAmount"], link["fiatCurrency"]) == (shown, currency)


@pytest.mark.parametrize(("value", "currency"), [("1500.0", "JPY"), ("9.2101", "KWD"), ("10.001", "USD")])
async def test_a_price_finer_than_its_currency_is_refused(api: httpx.AsyncClient, value: str, currency: str) -> None:
    answer = await api.post(SESSIONS, json={"amount": {"value": value, "currency": currency}})
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("invalid_body", "amount.value")


async def test_a_currency_that_nobody_quotes_is_named(api: httpx.AsyncClient) -> None:
    answer = await api.post(SESSIONS, json={"amount": {"value": "10.00", "currency": "XCG"}})
    assert answer.status_code == 400
    found = answer.json()["error"]
    assert (found["code"], found["param"]) == ("unsupported_asset", "amount.currency")

"""Every way to fail, with its status, type, code and param: never a fault of ours, never a silent default."""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from crypto_checkout.core import errors as core
from crypto_checkout.core import ids
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.http import errors
from crypto_checkout.http.api.table import table
from crypto_checkout.services.owner import api_keys
from tests.support.anvil import Anvil
from tests.support.api import ENDPOINT, LINK, PRICE, App, error, listed, made, open_app
from tests.support.shop import FRESH_XPUB
from tests.support.waiting import until

# The table of the contract, written out once more: whoever changes a status or a type has to say so here too.
CONTRACT = {
    ("authentication", 401): "missing_api_key invalid_api_key revoked_api_key",
    ("permission", 403): "insufficient_scope",
    ("invalid_request", 400): "invalid_json invalid_body invalid_query invalid_cursor link_inactive unsupported_chain "
    "unsupported_asset amount_too_small amount_too_large",
    ("invalid_request", 405): "method_not_allowed",
    ("invalid_request", 413): "body_too_large",
    ("invalid_request", 415): "unsupported_content_type",
    ("not_found", 404): "resource_not_found route_not_found",
    ("conflict", 409): "idempotency_key_reused session_not_open refund_not_open customer_exists link_sold_out",
    ("rate_limited", 429): "rate_limit_exceeded",
    ("server", 500): "internal_error",
    ("server", 503): "price_unavailable wallet_not_configured",
}
EXPECTED = {code: kind for kind, codes in CONTRACT.items() for code in codes.split()}

INSIDE = ("Traceback", "sqlite", "SELECT", "pydantic", "Input should", ".py", "checkout.db", "set_int", "codec")

JSON = {"Content-Type": "application/json"}
SESSIONS, LINKS, ENDPOINTS, EVENTS = "/checkout_sessions", "/payment_links", "/webhook_endpoints", "/events"
CUSTOMERS = "/customers"


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    async with open_app(tmp_path_factory.mktemp("errors")) as app:
        yield app


@dataclass(frozen=True)
class Case:
    """One request, and the error that answers it."""

    name: str
    request: str
    code: str
    param: str | None = None
    body: Any = None
    raw: bytes | str | None = None
    headers: Mapping[str, str] | list[tuple[bytes, bytes]] = field(default_factory=lambda: JSON)

    def __str__(self) -> str:
        return self.name

    async def send(self, api: httpx.AsyncClient) -> httpx.Response:
        method, _, path = self.request.partition(" ")
        raw = json.dumps(self.body) if self.raw is None and self.body is not None else self.raw
        headers = [*self.headers] if isinstance(self.headers, list) else dict(self.headers)
        return await api.request(method, path, content=raw, headers=headers)


def price(value: Any, currency: Any = "USD") -> dict[str, Any]:
    return {"amount": {"value": value, "currency": currency}}


def session(name: str, param: str | None, code: str = "invalid_body", **fields: Any) -> Case:
    return Case(name, f"POST {SESSIONS}", code, param, {**PRICE, **fields})


def link(name: str, param: str | None, code: str = "invalid_body", **fields: Any) -> Case:
    return Case(name, f"POST {LINKS}", code, param, {**LINK, **fields})


def endpoint(name: str, param: str | None, **fields: Any) -> Case:
    return Case(name, f"POST {ENDPOINTS}", "invalid_body", param, {**ENDPOINT, **fields})


def free(name: str, param: str | None, code: str = "invalid_body", **fields: Any) -> Case:
    return link(name, param, code, **{"fiatAmount": None, **fields})


def amount(name: str, value: Any, currency: Any = "USD", param: str = "value", code: str = "invalid_body") -> Case:
    return Case(f"amount: {name}", f"POST {SESSIONS}", code, f"amount.{param}", price(value, currency))


def body(name: str, raw: bytes | str, code: str, param: str | None = None, path: str = LINKS) -> Case:
    return Case(f"body: {name}", f"POST {path}", code, param, raw=raw)


def query(text: str, param: str, path: str = SESSIONS, code: str = "invalid_query") -> Case:
    return Case(f"query: {path}?{text}", f"GET {path}?{text}", code, param)


def key(name: str, *values: bytes) -> Case:
    headers = [(b"Content-Type", b"application/json"), *((b"Idempotency-Key", value) for value in values)]
    return Case(f"key: {name}", f"POST {SESSIONS}", "invalid_query", "Idempotency-Key", PRICE, headers=headers)


AMOUNTS = (
    Case("amount: a JSON number", f"POST {SESSIONS}", "invalid_body", "amount.value",
         raw='{"amount": {"value": 10.00, "currency": "USD"}}'),
    amount("a whole JSON number", 10),
    amount("three decimals of a currency with two", "10.001"),
    amount("two decimals of a currency with none", "10.00", "JPY"),
    amount("an exponent", "1e2"),
    amount("negative", "-1.00"),
    amount("a plus sign", "+1.00"),
    amount("zero", "0"),
    amount("zero with decimals", "0.00"),
    amount("empty", ""),
    amount("a space before", " 10.00"),
    amount("a line break after", "10.00\n"),
    amount("a comma", "10,00"),
    amount("no decimals after the point", "10."),
    amount("no digit before the point", ".50"),
    amount("leading zeros", "010.00"),
    amount("digits of another script", "\uff11\uff10"),
    amount("NaN as text", "NaN"),
    amount("forty digits", "9" * 40),
    amount("more characters than any amount has", "9" * 41),
    amount("null", None),
    amount("an array", ["10.00"]),
    amount("an unknown currency", "10.00", "XTS", "currency"),
    amount("a currency in lower case", "10.00", "usd", "currency"),
    amount("a metal", "10.00", "XAU", "currency"),
    amount("an empty currency", "10.00", "", "currency"),
    amount("a long currency", "10.00", "US DOLLAR(S)", "currency"),
    amount("a currency as a number", "10.00", 840, "currency"),
    amount("no currency at all", "10.00", None, "currency"),
    amount("a currency that nobody quotes", "10.00", "AFN", "currency", "unsupported_asset"),
    amount("less than the smallest step of the coin", "0.01", "IDR", "value", "amount_too_small"),
    Case("amount: a string", f"POST {SESSIONS}", "invalid_body", "amount", {"amount": "10.00"}),
    Case("amount: without a value", f"POST {SESSIONS}", "invalid_body", "amount.value",
         {"amount": {"currency": "USD"}}),
    Case("amount: an unknown field", f"POST {SESSIONS}", "invalid_body", "amount.fee",
         {"amount": {"value": "1", "currency": "USD", "fee": "1"}}),
    link("link: an amount as a number", "fiatAmount", fiatAmount=10),
    link("link: too many decimals", "fiatAmount", fiatAmount="10.001"),
    link("link: an unknown currency", "fiatCurrency", fiatCurrency="XTS"),
    link("link: a currency of null", "fiatCurrency", fiatCurrency=None),
    link("link: a least amount beside a price", "minFiatAmount", minFiatAmount="1.00"),
    link("link: a largest amount beside a price", "maxFiatAmount", maxFiatAmount="1.00"),
    link("link: suggestions beside a price", "suggestedAmounts", suggestedAmounts=["1.00"]),
    free("free: a bound with too many decimals", "minFiatAmount", minFiatAmount="1.001"),
    free("free: a bound of zero", "minFiatAmount", minFiatAmount="0.00"),
    free("free: bounds in the wrong order", "maxFiatAmount", minFiatAmount="2.00", maxFiatAmount="1.00"),
    free("free: a suggestion below the bounds", "suggestedAmounts[1]", minFiatAmount="2", suggestedAmounts=["2", "1"]),
    free("free: a suggestion above the bounds", "suggestedAmounts[0]", maxFiatAmount="2", suggestedAmounts=["3"]),
    free("free: a suggestion twice", "suggestedAmounts[1]", suggestedAmounts=["3", "3.00"]),
    free("free: no suggestion", "suggestedAmounts", suggestedAmounts=[]),
    free("free: seven suggestions", "suggestedAmounts", suggestedAmounts=[str(each) for each in range(1, 8)]),
    free("free: pieces of no price", "quantity", quantity={"max": 2}),
    free("free: an unknown currency", "fiatCurrency", fiatCurrency="XTS"),
    link("link: no piece", "quantity.min", quantity={"min": 0}),
    link("link: a part of a piece", "quantity.max", quantity={"max": 1.5}),
    link("link: fewer pieces than the least", "quantity.max", quantity={"min": 3, "max": 2}),
    link("link: too many pieces", "quantity.max", quantity={"max": 10_001}),
    link("link: a negative stock", "quantity.stock", quantity={"stock": -1}),
    link("link: what is left", "quantity.available", quantity={"available": 1}),
    link("link: pieces beyond any price", "quantity.min", fiatAmount="999999999999999", quantity={"min": 2}),
)  # fmt: skip

FIELDS = (
    session("session: an unknown field", "success_url", success_url="https://shop.example"),
    Case("session: an unknown field of a thousand characters", f"POST {SESSIONS}", "invalid_body", "x" * 99 + "…",
         {"x" * 1000: 1}),
    Case("session: neither a price nor a link", f"POST {SESSIONS}", "invalid_body", "amount", {}),
    Case("session: no body", f"POST {SESSIONS}", "invalid_body", "amount"),
    session("session: pieces without a link", "quantity", quantity=2),
    session("session: a price and a link of nobody", "linkId", "resource_not_found", linkId="pl_1"),
    Case("session: a link of nobody", f"POST {SESSIONS}", "resource_not_found", "linkId", {"linkId": "pl_1"}),
    session("session: another chain", "chainId", "unsupported_chain", chainId=1),
    session("session: a chain as text", "chainId", chainId="1337"),
    session("session: a chain as a fraction", "chainId", chainId=1337.5),
    session("session: chain zero", "chainId", chainId=0),
    session("session: a chain beyond 2^53", "chainId", chainId=2**53),
    session("session: another asset", "asset", "unsupported_asset", asset="BTC"),
    session("session: an asset in lower case", "asset", "unsupported_asset", asset="eth"),
    session("session: an empty asset", "asset", asset=""),
    session("session: 59 seconds", "expiresInSeconds", expiresInSeconds=59),
    session("session: a day and a second", "expiresInSeconds", expiresInSeconds=86_401),
    session("session: seconds as text", "expiresInSeconds", expiresInSeconds="900"),
    session("session: seconds as a fraction", "expiresInSeconds", expiresInSeconds=900.5),
    session("session: seconds as a boolean", "expiresInSeconds", expiresInSeconds=True),
    session("session: no email address", "customerEmail", customerEmail="ada"),
    session("session: an email address in two lines", "customerEmail", customerEmail="ada@example.com\nBcc: x@y.z"),
    session("session: 51 keys of metadata", "metadata", metadata={str(number): "" for number in range(51)}),
    session("session: a metadata key of 41 characters", "metadata." + "k" * 41, metadata={"k" * 41: ""}),
    session("session: an empty metadata key", "metadata.", metadata={"": ""}),
    session("session: a metadata key in two lines", "metadata.a\nb", metadata={"a\nb": ""}),
    session("session: a metadata value of 501 characters", "metadata.k", metadata={"k": "v" * 501}),
    session("session: a metadata value as a number", "metadata.k", metadata={"k": 1}),
    session("session: nested metadata", "metadata.k", metadata={"k": {}}),
    session("session: metadata as an array", "metadata", metadata=[]),
    link("link: an unknown field", "slug", slug="mine"),
    Case("link: no title", f"POST {LINKS}", "invalid_body", "title", {"fiatAmount": "1.00"}),
    Case("link: no amount", f"POST {LINKS}", "invalid_body", "fiatAmount", {"title": "A book"}),
    link("link: a title of null", "title", title=None),
    link("link: an empty title", "title", title=""),
    link("link: a blank title", "title", title=" \t"),
    link("link: a title in two lines", "title", title="A\nbook"),
    link("link: a title of 201 characters", "title", title="x" * 201),
    link("link: a description of 1001 characters", "description", description="x" * 1001),
    link("link: active as a number", "active", active=1),
    link("link: active as text", "active", active="true"),
    link("link: another chain", "chainId", "unsupported_chain", chainId=1),
    link("link: another asset", "asset", "unsupported_asset", asset="BTC"),
    endpoint("endpoint: no events", "events", events=[]),
    endpoint("endpoint: events as text", "events", events="*"),
    endpoint("endpoint: an unknown event", "events", events=["session.payed"]),
    endpoint("endpoint: an event twice", "events", events=["session.paid", "session.paid"]),
    endpoint("endpoint: all events and one", "events", events=["*", "session.paid"]),
    endpoint("endpoint: an event as a number", "events[1]", events=["session.paid", 1]),
    endpoint("endpoint: an unknown field", "secret", secret="whsec_mine"),
    Case("endpoint: no URL", f"POST {ENDPOINTS}", "invalid_body", "url", {"events": ["*"]}),
    Case("pay: an amount as a number", f"POST /test_helpers{SESSIONS}/{{session}}/pay", "invalid_body", "amount",
         {"amount": 1}),
    Case("pay: an amount of zero", f"POST /test_helpers{SESSIONS}/{{session}}/pay", "invalid_body", "amount",
         {"amount": "0"}),
    Case("pay: finer than wei", f"POST /test_helpers{SESSIONS}/{{session}}/pay", "invalid_body", "amount",
         {"amount": "0.0000000000000000001"}),
    Case("pay: nobody's session", f"POST /test_helpers{SESSIONS}/cs_1/pay", "resource_not_found", None, {}),
    Case("mine: no block", "POST /test_helpers/chain/mine", "invalid_body", "blocks", {"blocks": 0}),
    Case("mine: too many blocks", "POST /test_helpers/chain/mine", "invalid_body", "blocks", {"blocks": 10_001}),
)  # fmt: skip

WRONG_URLS = {
    "a script": "javascript:alert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "another scheme": "ftp://shop.example/",
    "no scheme": "//shop.example/",
    "a path": "/thanks",
    "no host": "https:///thanks",
    "a user name": "https://shop@example.com/",
    "a password": "https://shop:secret@example.com/",
    "a line break": "https://shop.example/\r\nSet-Cookie: a=b",
    "a line break inside": "https://shop.exa\nmple/",
    "a space": "https://shop.example/a b",
    "a backslash": "https://shop.example\\@evil.example/",
    "half an IPv6 address": "https://[::1",
    "a port of six digits": "https://shop.example:443443/",
    "a host of signs": "https://shop<example>/",
    "a host without a label": "https://./",
    "2049 characters": "https://shop.example/".ljust(2049, "x"),
    "nothing": "",
    "a number": 1,
}
URLS = (
    *(session(f"successUrl: {name}", "successUrl", successUrl=url) for name, url in WRONG_URLS.items()),
    *(endpoint(f"url: {name}", "url", url=url) for name, url in WRONG_URLS.items()),
    session("cancelUrl: a script", "cancelUrl", cancelUrl="javascript:alert(1)"),
    session("returnUrl: a script", "returnUrl", returnUrl="javascript:alert(1)"),
    link("link's successUrl: a script", "successUrl", successUrl="javascript:alert(1)"),
    endpoint("url: a fragment", "url", url="https://shop.example/#there"),
)

HALF = r"\ud800"
BODIES = (
    body("an array", "[]", "invalid_body"),
    body("null", "null", "invalid_body"),
    body("a number", "12", "invalid_body"),
    body("text", '"title"', "invalid_body"),
    body("no JSON", "title=A", "invalid_json"),
    body("cut off", '{"title": "A', "invalid_json"),
    body("two values", "{} {}", "invalid_json"),
    body("a trailing comma", '{"title": "A",}', "invalid_json"),
    body("only spaces", "  ", "invalid_json"),
    body("a byte order mark", b"\xef\xbb\xbf{}", "invalid_json"),
    body("UTF-16", '{"title": "A"}'.encode("utf-16"), "invalid_json"),
    body("a byte that is no UTF-8", b'{"title": "\xff"}', "invalid_json"),
    body("a surrogate as UTF-8", b'{"title": "\xed\xa0\x80"}', "invalid_json"),
    body("a key twice", '{"title": "A", "title": "B"}', "invalid_json"),
    body("a key twice, deeper", '{"metadata": {"a": "1", "a": "1"}}', "invalid_json"),
    body("half a surrogate pair as a key twice", f'{{"{HALF}": 1, "{HALF}": 2}}', "invalid_json"),
    body("NaN", '{"chainId": NaN}', "invalid_json"),
    body("Infinity", '{"chainId": Infinity}', "invalid_json"),
    body("minus Infinity", '{"chainId": -Infinity}', "invalid_json"),
    body("a raw control character", b'{"title": "a\x00b"}', "invalid_json"),
    body("10,000 arrays deep", "[" * 10_000 + "]" * 10_000, "invalid_json"),
    body("10,000 objects deep", '{"a":' * 10_000 + "1" + "}" * 10_000, "invalid_json"),
    body("10,000 arrays, never closed", "[" * 10_000, "invalid_json"),
    body("500 arrays deep", '{"title": ' + "[" * 500 + "]" * 500 + "}", "invalid_body", "title"),
    body("a number of 5,000 digits", '{"chainId": ' + "9" * 5_000 + "}", "invalid_json"),
    body("a number of 60,000 digits", '{"chainId": -' + "9" * 60_000 + "}", "invalid_json"),
    body("a fraction of 5,000 digits", '{"chainId": 1.' + "9" * 5_000 + "}", "invalid_body", "title"),
    body("a number too large for a float", '{"title": "A", "fiatAmount": "1.00", "chainId": 1e999}', "invalid_body",
         "chainId"),
    body("half a surrogate pair as a field", f'{{"{HALF}": 1}}', "invalid_body"),
    body("half a surrogate pair in a title", f'{{"title": "{HALF}"}}', "invalid_body", "title"),
    body("half a surrogate pair as a metadata key", f'{{"metadata": {{"{HALF}": ""}}}}', "invalid_body", "metadata"),
    body("half a surrogate pair in metadata", f'{{"metadata": {{"a": "{HALF}"}}}}', "invalid_body", "metadata.a"),
    body("half a surrogate pair in a currency", f'{{"fiatCurrency": "{HALF}"}}', "invalid_body", "fiatCurrency"),
    body("half a surrogate pair in an asset", f'{{"asset": "{HALF}"}}', "invalid_body", "asset"),
    body("half a surrogate pair in a link's URL", f'{{"successUrl": "https://a/{HALF}"}}', "invalid_body",
         "successUrl"),
    body("half a surrogate pair in events", f'{{"url": "https://a.b", "events": ["{HALF}"]}}', "invalid_body",
         "events[0]", ENDPOINTS),
    body("half a surrogate pair in an endpoint's URL", f'{{"url": "https://a.b/{HALF}"}}', "invalid_body", "url",
         ENDPOINTS),
    body("half a surrogate pair in a link's id", f'{{"linkId": "{HALF}"}}', "invalid_body", "linkId", SESSIONS),
    body("half a surrogate pair in an email address", f'{{"customerEmail": "{HALF}@a.b"}}', "invalid_body",
         "customerEmail", SESSIONS),
    body("NUL in a title", r'{"title": "a\u0000b"}', "invalid_body", "title"),
    body("NUL in a metadata key", r'{"metadata": {"\u0000": ""}}', "invalid_body", "metadata"),
    body("NUL in metadata", r'{"metadata": {"a": "\u0000"}}', "invalid_body", "metadata.a"),
    body("NUL in a link's id", r'{"linkId": "\u0000"}', "invalid_body", "linkId", SESSIONS),
    body("an escape character in a description", r'{"description": "\u001b[2J"}', "invalid_body", "description"),
    body("a control character of ISO 8859", '{"title": "a\u0085b"}', "invalid_body", "title"),
    Case("body: form data", f"POST {LINKS}", "unsupported_content_type", raw="title=A",
         headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Case("body: text", f"POST {LINKS}", "unsupported_content_type", raw="{}", headers={"Content-Type": "text/plain"}),
    Case("body: something like JSON", f"POST {LINKS}", "unsupported_content_type", raw="{}",
         headers={"Content-Type": "application/jsonp"}),
    Case("body: without a type", f"POST {LINKS}", "unsupported_content_type", raw="{}", headers={}),
    *(Case(f"body: compressed, {coding}", f"POST {LINKS}", "unsupported_content_type", raw=gzip.compress(b"{}"),
           headers={**JSON, "Content-Encoding": coding}) for coding in ("gzip", "br", "gzip, identity", "GZIP")),
    Case("body: as it is", f"POST {LINKS}", "invalid_body", "title", raw=b"{}",
         headers={**JSON, "Content-Encoding": "Identity"}),
    Case("body: of a deletion", f"DELETE {LINKS}/pl_1", "invalid_body", "force", {"force": True}),
    Case("body: 64 KiB and a byte", f"POST {LINKS}", "body_too_large", raw=b" " * 65_537),
)  # fmt: skip

WRONG_LIMITS = ("0", "101", "abc", "", "-1", "1.5", "1e1", "007", "%2B5", "+5", "%D9%A1", "9" * 99)
QUERIES = (
    *(query(f"limit={value}", "limit", path) for path in (LINKS, ENDPOINTS, EVENTS) for value in ("0", "101")),
    *(query(f"limit={value}", "limit") for value in WRONG_LIMITS),
    query("limit=1&limit=1", "limit"),
    query("colour=red", "colour"),
    query("Limit=1", "Limit"),
    query("%00=1", "\x00"),
    query("limit", "limit"),
    query("status=payed", "status"),
    query("status=", "status"),
    query("status=PAID", "status"),
    query("linkId=", "linkId"),
    query("linkId=book", "linkId"),
    query("linkId=%FF", "linkId"),
    query("customerEmail=", "customerEmail"),
    query("customerEmail=ada", "customerEmail"),
    query("createdAfter=2026-11-23T09:30:00", "createdAfter"),
    query("createdAfter=2026-11-23", "createdAfter"),
    query("createdAfter=1790000000", "createdAfter"),
    query("createdAfter=2026-02-30T09:30:00Z", "createdAfter"),
    query("createdAfter=2026-11-23T09:30:00+01:00", "createdAfter"),  # a plus sign is a space there
    query("createdAfter=0001-01-01T00:00:00%2B01:00", "createdAfter"),
    query("createdBefore=", "createdBefore"),
    query("createdBefore=9999-12-31T23:59:59-01:00", "createdBefore"),
    query("active=1", "active", LINKS),
    query("active=True", "active", LINKS),
    query("active=", "active", LINKS),
    query("type=session.payed", "type", EVENTS),
    query("type=", "type", EVENTS),
    query("resourceId=", "resourceId", EVENTS),
    query("resourceId=%27%20OR%201=1", "resourceId", EVENTS),
    query("createdBefore=2026-11-23T09:30:00Z", "createdBefore", EVENTS),
    query("expand=link", "expand", f"{SESSIONS}/cs_1"),
    Case("query: of a POST", f"POST {LINKS}?dry=1", "invalid_query", "dry", LINK),
    Case("query: of a deletion", f"DELETE {LINKS}/pl_1?force=1", "invalid_query", "force"),
    *(query(f"{param}={value}", param, code="invalid_cursor") for param in ("starting_after", "ending_before")
      for value in ("", "x", "%FF", "cs_1", "W10", "e30", "bnVsbA", "WzFd", "A" * 20_000)),
    query("starting_after=a&ending_before=b", "ending_before", code="invalid_cursor"),
)  # fmt: skip

KEYS = (
    key("empty", b""),
    key("256 characters", b"k" * 256),
    key("a space inside", b"a b"),
    key("not ASCII", "Schlüssel".encode()),
    key("a control character", b"a\x7fb"),
    key("twice", b"a", b"b"),
    key("twice the same", b"a", b"a"),
)

PLACES = (
    *(Case(f"no such {name}", f"{method} {path}", "resource_not_found") for name, method, path in (
        ("session", "GET", f"{SESSIONS}/cs_1"),
        ("link", "GET", f"{LINKS}/pl_1"),
        ("link to delete", "DELETE", f"{LINKS}/pl_1"),
        ("endpoint", "GET", f"{ENDPOINTS}/we_1"),
        ("endpoint to delete", "DELETE", f"{ENDPOINTS}/we_1"),
        ("event", "GET", f"{EVENTS}/evt_1"),
        ("link with NUL", "GET", f"{LINKS}/%00"),
        ("link that is no UTF-8", "GET", f"{LINKS}/%FF"),
        ("link of SQL", "GET", f"{LINKS}/'%20OR%20''='"),
        ("link with a long name", "GET", f"{LINKS}/" + "x" * 5_000),
    )),
    *(Case(f"no such route: {path[:40]}", f"{method} {path}", "route_not_found") for method, path in (
        ("GET", "/"),
        ("GET", "/nothing"),
        ("POST", "/nothing"),
        ("GET", f"{LINKS}/pl_1/more"),
        ("GET", f"{LINKS}%0A"),
        ("GET", f"{LINKS}%2F"),
        ("GET", "/../../etc/passwd"),
        ("GET", "/" + "x" * 5_000),
    )),
    *(Case(f"no such method: {method} {path}", f"{method} {path}", "method_not_allowed") for method, path in (
        ("PUT", SESSIONS), ("PATCH", SESSIONS), ("DELETE", SESSIONS), ("TRACE", SESSIONS),
        ("PROPFIND", SESSIONS), ("QUERY", SESSIONS), ("POST", EVENTS), ("POST", f"{LINKS}/pl_1"),
        ("GET", "/test_helpers/chain/mine"), ("HEAD", "/test_helpers/chain/mine"),
    )),
)  # fmt: skip

CASES = (*AMOUNTS, *FIELDS, *URLS, *BODIES, *QUERIES, *KEYS, *PLACES)


@pytest.fixture(scope="module")
async def session_id(shop: App) -> str:
    found: str = (await made(shop.api, SESSIONS, PRICE))["id"]
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_wrong_request_gets_its_error(shop: App, session_id: str, case: Case) -> None:
    case = replace(case, request=case.request.replace("{session}", session_id))
    answer = await case.send(shop.api)
    if case.request.startswith("HEAD"):
        assert answer.status_code == EXPECTED[case.code][1]
        return
    check(answer, case.code, case.param)
    if case.code not in {"route_not_found", "method_not_allowed"}:
        assert {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(answer.headers)


def check(answer: httpx.Response, code: str, param: str | None = None) -> None:
    """Check everything that is the same for all errors."""
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    found = error(answer)
    kind, status = EXPECTED[code]
    assert (found["code"], found["type"], answer.status_code) == (code, kind, status), found["message"]
    assert set(found) == {"type", "code", "message", "requestId"} | ({"param"} if param is not None else set())
    assert found.get("param") == param, found["message"]
    assert found["requestId"] == answer.headers["x-request-id"]
    assert ids.is_id(found["requestId"], ids.REQUEST)
    assert found["message"].endswith((".", "?", "…")), found["message"]
    assert not found["message"].endswith(".."), found["message"]
    assert 10 < len(found["message"]) < 700, found["message"]
    for word in INSIDE:
        assert word not in found["message"]


# --- what else belongs to an answer ----------------------------------------------------------------------------------


async def test_the_message_says_what_came_and_what_is_wanted(shop: App) -> None:
    wanted = {
        '{"amount": {"value": 10.00, "currency": "USD"}}': (
            'amount.value: must be a string; got the number 10.00; write it in quotes: "10.00".'
        ),
        '{"amount": {"value": "1.00", "currency": "USD", "x": 1}}': (
            "amount.x: there is no such field; known are value, currency."
        ),
        '{"expiresInSeconds": "900"}': 'expiresInSeconds: must be a whole number; got the string "900".',
        '{"expiresInSeconds": 59}': "expiresInSeconds: must be at least 60; got the number 59.",
        '{"metadata": null, "amount": []}': "amount: must be an object; got an array.",
        '{"succesUrl": "https://a.b"}': "succesUrl: there is no such field; did you mean successUrl?",
        '{"cancel_url": "https://a.b"}': "cancel_url: there is no such field; did you mean cancelUrl?",
        "[1]": "The body must be a JSON object; got an array.",
        '{"a": 1, "a": 1}': 'The body is not JSON: the key "a" stands twice in one object.',
        '{"amount': "The body is not JSON: Unterminated string starting at character 1.",
        '{"a": "\n"}': "The body is not JSON: Invalid control character at character 7.",
        '{"customerEmail": "ada"}': 'customerEmail: must be an email address like "ada@example.com"; got "ada".',
    }
    for raw, message in wanted.items():
        answer = await shop.api.post(SESSIONS, content=raw, headers=JSON)
        assert error(answer)["message"] == message


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (SESSIONS, "GET, HEAD, OPTIONS, POST"),
        (f"{SESSIONS}/cs_1", "GET, HEAD, OPTIONS"),
        (f"{LINKS}/pl_1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/test_helpers/chain/mine", "OPTIONS, POST"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "QUERY"])
async def test_a_405_says_which_methods_there_are(shop: App, path: str, allow: str, method: str) -> None:
    answer = await shop.api.request(method, path)
    check(answer, "method_not_allowed")
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    "path", [SESSIONS, LINKS, ENDPOINTS, EVENTS, f"{EVENTS}?limit=0", "/nothing", f"{SESSIONS}/cs_1"]
)
async def test_head_answers_as_get_does(shop: App, path: str) -> None:
    got, head = await shop.api.get(path), await shop.api.head(path)
    assert head.status_code == got.status_code
    changing = {"x-request-id", "ratelimit-remaining", "content-length"}
    assert {n: v for n, v in head.headers.items() if n not in changing} == {
        n: v for n, v in got.headers.items() if n not in changing
    }


async def test_a_body_in_chunks_is_refused_at_the_64_kib(shop: App) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1024
            yield b" " * 1024

    answer = await shop.api.post(LINKS, content=endless(), headers=JSON)
    check(answer, "body_too_large")
    assert taken == 65 * 1024
    assert answer.headers["connection"] == "close"


async def test_a_body_of_exactly_64_kib_is_read(shop: App) -> None:
    answer = await shop.api.post(LINKS, content=json.dumps(LINK).ljust(65_536), headers=JSON)
    assert answer.status_code == 201


async def test_json_may_say_its_charset_and_be_in_any_case(shop: App) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON", " application/json ;x=y"):
        answer = await shop.api.post(LINKS, content=json.dumps(LINK), headers={"Content-Type": kind})
        assert answer.status_code == 201


async def test_line_breaks_and_signs_of_any_script_are_text(shop: App) -> None:
    fields = {**LINK, "title": "Ein Buch 📖 書", "description": "one\r\ntwo\t", "metadata": {"größe": "\n"}}
    link = await made(shop.api, LINKS, fields)
    assert {name: link[name] for name in fields} == fields


# --- order: key, scope, rate limit, and only then the rest -----------------------------------------------------------


ROUTES: list[tuple[str, str, Scope]] = [(o.method, o.path.replace("{id}", "x_1"), o.scope) for o in table()]


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
async def test_nothing_is_read_without_a_key(shop: App, method: str, path: str, scope: Scope) -> None:
    address = f"192.0.2.{ROUTES.index((method, path, scope))}"  # each may send so many wrong keys
    for authorization, code in (
        (None, "missing_api_key"),
        ("", "missing_api_key"),
        ("Bearer", "missing_api_key"),
        ("Basic ck_test_" + "a" * 32, "missing_api_key"),
        ("Bearer ck_test_" + "a" * 32, "invalid_api_key"),
        ("Bearer ck_test_" + "a" * 31, "invalid_api_key"),
        ("Bearer ck_test_" + "a" * 5_000, "invalid_api_key"),
        ("Bearer sk_test_" + "a" * 32, "invalid_api_key"),
    ):
        nobody = await shop.anybody(authorization, address=address)
        answer = await nobody.request(method, f"{path}?wrong=1", content=unread(), headers={"Idempotency-Key": ""})
        check(answer, code)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "ratelimit-limit" not in answer.headers


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
async def test_nothing_is_read_without_the_scope(shop: App, method: str, path: str, scope: Scope) -> None:
    poor = await shop.client(scopes=[other for other in Scope if other is not scope])
    answer = await poor.request(method, f"{path}?wrong=1", content=unread(), headers={"Idempotency-Key": ""})
    check(answer, "insufficient_scope")
    assert scope in error(answer)["message"]
    assert "ratelimit-limit" in answer.headers


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
async def test_the_scope_that_is_asked_for_is_enough(shop: App, method: str, path: str, scope: Scope) -> None:
    rich = await shop.client(scopes=[scope])
    answer = await rich.request(method, f"{path}?wrong=1")
    check(answer, "invalid_query", "wrong")


async def test_test_helpers_refuse_a_live_key(shop: App) -> None:
    live = await shop.client(livemode=True)
    for path in (f"/test_helpers{SESSIONS}/cs_1/pay", "/test_helpers/chain/mine"):
        check(await live.post(path, content=unread()), "insufficient_scope")


async def unread() -> AsyncIterator[bytes]:
    """A body that nobody may ask for."""
    raise AssertionError("the body was read")
    yield b""  # type: ignore[unreachable]


# --- every code ------------------------------------------------------------------------------------------------------


async def missing_key(shop: App) -> httpx.Response:
    return await (await shop.anybody()).get(EVENTS)


async def invalid_key(shop: App) -> httpx.Response:
    return await (await shop.anybody("Bearer nonsense")).get(EVENTS)


async def revoked_key(shop: App) -> httpx.Response:
    key, text = await shop.key()
    await shop.opened.db.write(lambda unit: api_keys.revoke(unit, shop.opened.events, key.id))
    return await (await shop.anybody(f"Bearer {text}")).get(EVENTS)


async def missing_scope(shop: App) -> httpx.Response:
    return await (await shop.client(scopes=[Scope.LINKS_READ])).get(EVENTS)


async def inactive_link(shop: App) -> httpx.Response:
    link = await made(shop.api, LINKS, {**LINK, "active": False})
    return await shop.api.post(SESSIONS, json={"linkId": link["id"]})


async def reused_key(shop: App) -> httpx.Response:
    for value in ("1.00", "2.00"):
        answer = await shop.api.post(SESSIONS, json=price(value), headers={"Idempotency-Key": "reused"})
    return answer


async def paid_session(shop: App) -> httpx.Response:
    session = await made(shop.api, SESSIONS, PRICE)
    for _ in range(2):
        answer = await shop.api.post(f"/test_helpers{SESSIONS}/{session['id']}/pay")
    return answer


async def canceled_refund(shop: App) -> httpx.Response:
    session = await made(shop.api, SESSIONS, PRICE)
    await shop.api.post(f"/test_helpers{SESSIONS}/{session['id']}/pay")
    await shop.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    refund = await made(shop.api, "/refunds", {"sessionId": session["id"]})
    for _ in range(2):
        answer = await shop.api.post(f"/refunds/{refund['id']}/cancel")
    return answer


async def known_customer(shop: App) -> httpx.Response:
    for _ in range(2):
        answer = await shop.api.post(CUSTOMERS, json={"email": "known@example.com"})
    return answer


async def no_wallet(shop: App) -> httpx.Response:
    return await (await shop.client(livemode=True)).post(SESSIONS, json=PRICE)


async def too_generous(shop: App) -> httpx.Response:
    link = await made(shop.api, LINKS, {**LINK, "fiatAmount": None, "maxFiatAmount": "50.00"})
    return await shop.api.post(SESSIONS, json={"linkId": link["id"], "amount": {"value": "50.01", "currency": "USD"}})


async def sold_out(shop: App) -> httpx.Response:
    link = await made(shop.api, LINKS, {**LINK, "quantity": {"stock": 1}})
    await made(shop.api, SESSIONS, {"linkId": link["id"]})
    return await shop.api.post(SESSIONS, json={"linkId": link["id"]})


PROVOKED: Mapping[str, Callable[[App], Awaitable[httpx.Response]]] = {
    "missing_api_key": missing_key,
    "invalid_api_key": invalid_key,
    "revoked_api_key": revoked_key,
    "insufficient_scope": missing_scope,
    "link_inactive": inactive_link,
    "amount_too_large": too_generous,
    "link_sold_out": sold_out,
    "idempotency_key_reused": reused_key,
    "session_not_open": paid_session,
    "refund_not_open": canceled_refund,
    "customer_exists": known_customer,
    "wallet_not_configured": no_wallet,
}
PARAMS = {
    "link_inactive": "linkId",
    "customer_exists": "email",
    "amount_too_large": "amount.value",
    "link_sold_out": "quantity",
}
OF_THEIR_OWN = {"rate_limit_exceeded", "internal_error", "price_unavailable"}
"""Codes that need an application of their own; see the three tests below."""


@pytest.mark.parametrize("code", sorted(PROVOKED))
async def test_each_code_that_needs_a_state_can_be_provoked(shop: App, code: str) -> None:
    check(await PROVOKED[code](shop), code, PARAMS.get(code))


def test_every_code_is_provoked_in_this_file() -> None:
    assert {case.code for case in CASES} | set(PROVOKED) | OF_THEIR_OWN == set(EXPECTED) == set(errors.STATUS)


def test_every_code_has_one_class_and_every_class_a_status() -> None:
    subclasses = [each for each in core.CheckoutError.__subclasses__() if "code" in vars(each)]
    classes: list[type[core.CheckoutError]] = [core.CheckoutError, *subclasses]
    assert sorted(each.code for each in classes) == sorted(errors.STATUS)
    assert {code: status for code, (_, status) in EXPECTED.items()} == dict(errors.STATUS)
    for each in classes:
        some = each.__new__(each)
        some.message, some.param = "No.", None
        assert errors.body(some, "req_1")["error"]["type"] == EXPECTED[each.code][0]


@pytest.mark.usefixtures("still_rate_limits")
async def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    async with open_app(tmp_path, rate_limit={"per_second": 1, "burst": 1}) as app:
        while (await app.api.get(EVENTS)).status_code == 200:
            pass
        answer = await app.api.post(f"{LINKS}?wrong=1", content=unread())
        check(answer, "rate_limit_exceeded")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["ratelimit-remaining"] == "0"


async def test_a_fault_of_ours_tells_nothing_of_the_inside(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with open_app(tmp_path) as app:
            await app.opened.db.write(lambda unit: unit.run("ALTER TABLE webhook_endpoints RENAME TO gone"))
            answers = [
                await app.api.get(ENDPOINTS),
                await app.api.post(LINKS, json=LINK),
                await app.api.post(LINKS, json=LINK, headers={"Idempotency-Key": "a"}),
            ]
    for answer in answers:
        check(answer, "internal_error")
        assert "ratelimit-limit" in answer.headers
        assert "webhook_endpoints" not in answer.text
    requests = [line["request"] for line in logged if line["event"] == "a request failed" and line["exc_info"]]
    assert requests == [error(answer)["requestId"] for answer in answers]


async def test_without_a_usable_price_nothing_is_sold(anvil: Callable[..., Anvil], tmp_path: Path) -> None:
    node = anvil(arguments=["--chain-id", "1"])
    async with open_app(
        tmp_path,
        wallet={"xpub": FRESH_XPUB},
        prices={"sources": ["chainlink"]},  # the chain has no such contracts
        chains=[{"id": 1, "name": "Ethereum", "rpc_urls": [node.url], "poll_seconds": 0.05}],
    ) as app:
        live = await app.client(livemode=True)

        async def is_compared() -> bool:
            return bool(error(await live.post(SESSIONS, json=PRICE))["code"] != "wallet_not_configured")

        await until(is_compared, "comparing the wallet with the chain")
        check(await live.post(SESSIONS, json=PRICE), "price_unavailable")
        assert await listed(live, SESSIONS) == {"object": "list", "data": [], "hasMore": False, "nextCursor": None}


# --- whatever comes --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["amount", "value", "currency", "linkId", "chainId", "asset", "metadata", "successUrl", "customerEmail", "title",
     "expiresInSeconds", "fiatAmount", "fiatCurrency", "description", "active", "url", "events", "blocks", "a", ""]
)  # fmt: skip
TEXTS = st.text() | st.sampled_from(["1.00", "USD", "ETH", "https://a.b/", "*", "session.paid", "\ud800", "\x00"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXTS, inner, max_size=6),
    max_leaves=12,
)
POSTS = st.sampled_from([SESSIONS, LINKS, ENDPOINTS, "/test_helpers/chain/mine", f"/test_helpers{SESSIONS}/cs_1/pay"])


@settings(max_examples=150)
@given(path=POSTS, value=st.dictionaries(NAMES, VALUES, max_size=5) | VALUES)
async def test_no_json_makes_a_fault(shop: App, path: str, value: Any) -> None:
    answer = await shop.api.post(path, content=json.dumps(value), headers=JSON)
    assert answer.status_code in {200, 201, 400, 404}
    if answer.is_error:
        check(answer, error(answer)["code"], error(answer).get("param"))


@settings(max_examples=100)
@given(path=POSTS, raw=st.binary(max_size=60))
async def test_no_bytes_make_a_fault(shop: App, path: str, raw: bytes) -> None:
    answer = await shop.api.post(path, content=raw, headers=JSON)
    assert answer.status_code in {200, 400, 404}


@settings(max_examples=100)
@given(
    path=st.sampled_from([SESSIONS, LINKS, ENDPOINTS, EVENTS]),
    name=st.sampled_from(["limit", "starting_after", "ending_before", "status", "linkId", "createdAfter", "type", "x"]),
    value=st.text(),
)
async def test_no_query_makes_a_fault(shop: App, path: str, name: str, value: str) -> None:
    answer = await shop.api.get(path, params=[(name, value.encode("utf-8", "replace").decode())])
    assert answer.status_code in {200, 400}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"title": "x" * 201}, "title: must have at most 200 characters; got 201."),
        ({"metadata": {"k" * 41: ""}}, "must have at most 40 characters; got 41."),
        ({"metadata": {"k": "v" * 501}}, "metadata.k: must have at most 500 characters; got 501."),
        ({"metadata": {f"k{number}": "" for number in range(51)}}, "metadata: must have at most 50 entries; got 51."),
        ({"assets": [{"chainId": 1, "asset": "x"}] * 21}, "assets: must have at most 20 entries; got 21."),
    ],
)
async def test_the_length_of_a_text_is_told_in_characters_and_of_a_list_in_entries(
    api: httpx.AsyncClient, fields: dict[str, Any], words: str
) -> None:
    answer = await api.post("/payment_links", json={"title": "x", "fiatAmount": "1.00", **fields})
    assert words in answer.json()["error"]["message"]


async def test_an_outcome_that_cannot_be_known_is_not_called_a_failure(
    shop: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object, **__: object) -> None:
        raise core.OutcomeUnknown("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(shop.opened.db, "write", lost)
        answer = await shop.api.post(LINKS, json=LINK, headers={"Idempotency-Key": "order-1"})
    assert (answer.status_code, error(answer)["code"]) == (503, "internal_error")
    assert int(answer.headers["retry-after"]) > 0
    assert "same Idempotency-Key" in error(answer)["message"]
    assert "Nothing was changed" not in error(answer)["message"]

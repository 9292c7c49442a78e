"""The answers to some hundred requests of every kind, to the byte, as they were recorded.

Whoever changes an answer on purpose records them again, and looks at the difference:

    RECORD_ANSWERS=1 scripts/test tests/http/test_answers.py
    git diff tests/http/recorded_answers.json
"""

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from crypto_checkout import metrics
from tests.support.api import Clock, RateClock, open_app
from tests.support.dashboard import PASSWORD
from tests.support.recorded_answers import Asked, Recorder

RECORDED = Path(__file__).parent / "recorded_answers.json"
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
METRICS_TOKEN = "a token for the metrics"

PRICE = {"value": "30.00", "currency": "USD"}
FULL = {
    "amount": {"value": "12.50", "currency": "EUR"},
    "chainId": 1337,
    "asset": "USDC",
    "successUrl": "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
    "cancelUrl": "https://shop.example/cart",
    "returnUrl": "https://shop.example/back",
    "customerEmail": "ada@example.com",
    "metadata": {"order": "1042", "größe": "ü"},
    "expiresInSeconds": 600,
}
ASSETS = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]
HOOK = {"url": "https://shop.example/hook", "events": ["api_key.revoked"]}  # no such event happens here
LISTED = ("payment_links", "webhook_endpoints", "events", "refunds", "collections")
GZIP = [("accept-encoding", "gzip, deflate, br")]
HTML = [("accept", "text/html,application/xhtml+xml")]
NO_KEY = [("authorization", None)]
FORM = ("content-type", "application/x-www-form-urlencoded")
SESSIONS = "/api/v1/checkout_sessions"


def api(line: str, body: Any = None, *headers: tuple[str, str | None], **options: Any) -> Asked:
    """Return a request to the API, with the key that may do everything."""
    method, path = line.split(" ", 1)
    return Asked(f"{method} /api/v1{path}", body, headers, **options)


def page(line: str, *headers: tuple[str, str | None], body: bytes | None = None, **options: Any) -> Asked:
    """Return a browser's request, without a key."""
    form = () if body is None else (FORM, ("origin", "https://shop.example"))
    return Asked(line, body, [*NO_KEY, *HTML, *form, *headers], **options)


MADE = (
    api("POST /checkout_sessions", {"amount": PRICE}, keep="session"),
    api("POST /checkout_sessions", FULL, keep="full"),
    api("POST /checkout_sessions", {"amount": PRICE, "assets": ASSETS}, keep="choice"),
    api("POST /checkout_sessions", {"amount": PRICE}, keep="other"),
    api("POST /payment_links", {"title": "A book", "fiatAmount": "30.00", "metadata": {"a": "b"}}, keep="link"),
    api("POST /checkout_sessions", {"linkId": "{link}"}),
    api("POST /customers", {"email": "ada@example.com", "name": "Ada"}, keep="customer"),
    api("POST /customers", {"email": "ada@example.com", "name": "Ada"}),
    api("POST /webhook_endpoints", HOOK, keep="endpoint"),
    api("POST /checkout_sessions", {"amount": PRICE}, ("idempotency-key", "once")),
    api("POST /checkout_sessions", {"amount": PRICE}, ("idempotency-key", "once")),
    api("POST /checkout_sessions", {"amount": FULL["amount"]}, ("idempotency-key", "once")),
    api("POST /webhook_endpoints", HOOK, ("idempotency-key", "s")),
    api("POST /webhook_endpoints", HOOK, ("idempotency-key", "s")),
)  # fmt: skip
READ = (
    *(api(f"GET /checkout_sessions/{{{name}}}") for name in ("session", "full", "choice", "session")),
    *(
        api("GET /checkout_sessions/{session}", None, ("if-none-match", value))
        for value in ('"0123456789abcdef0123456789abcdef"', "*", 'W/"x", *', "nonsense", "")
    ),
    api("GET /checkout_sessions/{session}", None, *GZIP),
    api("GET /checkout_sessions/{session}", None, ("accept-encoding", "gzip;q=0, br")),
    api("GET /checkout_sessions/{session}", None, ("accept-encoding", "GZIP")),
    api("GET /checkout_sessions/{session}", None, ("accept-encoding", "identity")),
    api("GET /checkout_sessions/{session}", None, ("accept-encoding", "br"), ("accept-encoding", "gzip")),
    api("GET /checkout_sessions/{session}", None, ("if-none-match", "*"), *GZIP),
    api("HEAD /checkout_sessions/{session}"),
    api("HEAD /checkout_sessions/{session}", None, *GZIP),
    api("GET /checkout_sessions/{session}", None, ("accept", "text/html")),
    api("GET /checkout_sessions/{session}", None, ("x-forwarded-for", "203.0.113.9")),
    api("GET /checkout_sessions/{session}?expand=x"),
    api("GET /checkout_sessions/{session}/payments"),
    api("GET /checkout_sessions/{session}/payments?limit=1"),
    api("GET /payment_links/{link}"),
    api("GET /payment_links/{link}", None, ("if-none-match", "*")),
    api("GET /customers/{customer}"),
    api("GET /webhook_endpoints/{endpoint}"),
    api("GET /balances"),
    api("GET /balances", None, *GZIP),
)  # fmt: skip
LISTS = (
    *(
        api(f"GET /checkout_sessions{query}")
        for query in (
            *("", "?limit=1", "?limit=2", "?limit=100", "?status=pending", "?status=paid", "?linkId={link}"),
            *("?customerEmail=ada@example.com", "?customerEmail=ADA%40example.com", "?limit=2&status=pending"),
            *("?createdAfter=2026-11-23T09:00:00Z", "?createdBefore=2026-11-23T09:00:00Z"),
            *("?starting_after={session}", "?ending_before={session}", "?limit=2&starting_after={other}"),
            *("?starting_after=x", "?starting_after={session}&ending_before={other}", "?limit=0", "?limit=101"),
            *("?limit=1&limit=2", "?unknown=1", "?status=nonsense", "?createdAfter=yesterday", "?limit=%FF", "?&&"),
        )
    ),
    api("GET /checkout_sessions?limit=100", None, *GZIP),
    api("GET /checkout_sessions", None, ("if-none-match", "*")),
    api("HEAD /checkout_sessions"),
    *(api(f"GET /{name}?limit=2") for name in LISTED),
    api("GET /customers"),
    api("GET /customers?limit=1&page=1"),
    api("GET /events?type=session.created&limit=1"),
    api("GET /webhook_endpoints/{endpoint}/deliveries"),
)  # fmt: skip
CHANGED = (
    api("PATCH /payment_links/{link}", {"title": "Another book"}),
    api("PATCH /payment_links/{link}", {}),
    api("PATCH /customers/{customer}", {"name": None}),
    api("PATCH /webhook_endpoints/{endpoint}", {"description": "a hook"}),
    api("POST /checkout_sessions/{other}/expire"),
    api("POST /checkout_sessions/{other}/expire"),
    api("POST /checkout_sessions/{other}/expire", None, ("idempotency-key", "closed")),
    api("POST /checkout_sessions/{other}/expire", None, ("idempotency-key", "closed")),
    api("POST /checkout_sessions/{other}/accept"),
    api("GET /checkout_sessions/{other}"),
    api("POST /test_helpers/checkout_sessions/{full}/pay", {"amount": "1"}),
    api("GET /checkout_sessions/{full}"),
    api("POST /test_helpers/checkout_sessions/{session}/pay", {}),
    api("GET /checkout_sessions/{session}"),
    api("GET /checkout_sessions/{session}", None, ("if-none-match", "*")),
    api("GET /checkout_sessions/{session}/payments"),
    api("POST /test_helpers/chain/mine", {"blocks": 40}),
    api("GET /checkout_sessions/{session}"),
    api("GET /checkout_sessions?status=paid"),
    api("GET /checkout_sessions"),
    api("POST /refunds", {"sessionId": "{session}"}, keep="refund"),
    api("GET /refunds/{refund}"),
    api("POST /refunds/{refund}/cancel"),
    api("DELETE /payment_links/{link}"),
    api("DELETE /webhook_endpoints/{endpoint}"),
    api("GET /webhook_endpoints/{endpoint}"),
)
WRONG: tuple[Any, ...] = (
    *(b"", b"{", b"[]", b"nonsense", b"\xff", b"\xef\xbb\xbf{}", b'{"amount": NaN}', b'{"a": 1, "a": 2}'),
    *(b'{"amount": "\\ud800"}', b'{"amount": {"value": "1\\u0000", "currency": "USD"}}', b"[" * 30_000),
    *({}, {"amount": {}}, {"amount": {**PRICE, "value": 30}}, {"amount": {**PRICE, "value": "0.001"}}),
    *({"amount": PRICE, "linkId": "pl_x"}, {"amount": PRICE, "unknown": 1}),
    {"amount": {**PRICE, "currency": "ZZZ"}},
    *({"amount": PRICE, "chainId": 1}, {"amount": PRICE, "asset": "DOGE"}, {"linkId": "pl_nonsense"}),
    *({"amount": PRICE, "successUrl": "javascript:x"}, {"amount": PRICE, "metadata": {"a": 1}}),
    {"amount": {"value": "0.00", "currency": "USD"}},
)
REFUSED = (
    api("GET /checkout_sessions", None, *NO_KEY),
    api("GET /checkout_sessions", None, ("authorization", "Basic YTpi")),
    api("GET /checkout_sessions", None, ("authorization", "Bearer ")),
    api("GET /checkout_sessions", None, ("authorization", "bearer ck_test_nonsense")),
    api("GET /checkout_sessions", None, ("authorization", "Bearer {narrow}")),
    api("GET /checkout_sessions", None, ("authorization", "Bearer {live}")),
    api("GET /checkout_sessions/{session}", None, ("authorization", "Bearer {live}")),
    api("POST /test_helpers/chain/mine", {"blocks": 1}, ("authorization", "Bearer {live}")),
    api("POST /checkout_sessions", {"amount": PRICE}, ("authorization", "Bearer {live}")),
    api("GET /checkout_sessions/cs_nonsense"),
    api("GET /checkout_sessions/cs_nonsense/payments"),
    api("GET /payment_links/{session}"),
    api("GET /checkout_sessions/{session}/nonsense"),
    api("GET /checkout_sessions/"),
    api("GET /checkout_sessions//payments"),
    api("GET /nonsense"),
    api("GET /nonsense", None, ("accept", "text/html")),
    api("GET /"),
    Asked("GET /api/v1"),
    Asked("GET /api/v2/checkout_sessions"),
    *(api(f"{method} /checkout_sessions") for method in ("OPTIONS", "PUT", "DELETE", "TRACE", "BREW", "PATCH")),
    *(api(f"{method} /checkout_sessions/{{session}}") for method in ("OPTIONS", "PUT", "DELETE", "POST")),
    api("OPTIONS /webhook_endpoints/{endpoint}", None, *NO_KEY),
    api("OPTIONS /nonsense", None, *NO_KEY),
    *(api("POST /checkout_sessions", body) for body in WRONG),
    api("POST /checkout_sessions", b"x" * 70_000),
    api("POST /checkout_sessions", b"x" * 70_000, ("content-length", None), ("transfer-encoding", "chunked")),
    api("POST /checkout_sessions", b"x" * 70_000, *NO_KEY),
    api("POST /nonsense", b"x" * 70_000),
    api("POST /checkout_sessions", {"amount": PRICE}, ("content-type", "text/plain")),
    api("POST /checkout_sessions", {"amount": PRICE}, ("content-encoding", "gzip")),
    api("POST /checkout_sessions", {"amount": PRICE}, ("idempotency-key", "ä")),
    api("POST /checkout_sessions", {"amount": PRICE}, ("idempotency-key", "")),
    api("POST /checkout_sessions", {"amount": PRICE}, ("idempotency-key", "a"), ("idempotency-key", "b")),
    api("GET /checkout_sessions", None, ("host", None)),
    api("GET /checkout_sessions", None, ("host", "a"), ("host", "b")),
    api("GET /checkout_sessions", None, ("host", "a/b")),
    api("GET /checkout_sessions", None, ("host", None), http_version="1.0"),
    api("GET /checkout_sessions%0A"),
    api("GET /checkout_sessions", None, ("authorization", "Bearer ck_test_nonsense"), times=120),
)  # fmt: skip
PAGES = (
    page("GET /"),
    page("HEAD /"),
    page("GET /", *GZIP),
    page("POST /"),
    page("GET /nonsense"),
    page("GET /nonsense/"),
    page("GET /docs/"),
    page("GET /metrics%0A"),
    Asked("GET /nonsense"),
    page("GET /checkout/{full}"),
    page("GET /checkout/{full}", *GZIP),
    page("GET /checkout/{full}?lang=de&qr=address"),
    page("GET /checkout/{full}", ("accept-language", "fr")),
    page("GET /checkout/{full}/"),
    page("GET /checkout/{session}"),
    page("GET /checkout/{choice}"),
    page("GET /checkout/{choice}/choose"),
    page("GET /checkout/cs_nonsense"),
    page("GET /checkout/cs_nonsense", *GZIP),
    *(page(f"{method} /checkout/{{full}}/status") for method in ("GET", "HEAD", "POST", "OPTIONS")),
    page("GET /checkout/{full}/status", ("if-none-match", "*")),
    page("GET /checkout/{full}/status", *GZIP),
    page("GET /checkout/{full}/status"),
    page("GET /checkout/{session}/status"),
    page("GET /checkout/{choice}/status"),
    page("GET /checkout/cs_nonsense/status"),
    page("GET /checkout/{full}/refund"),
    page("POST /checkout/{choice}/test/pay", body=b""),
    page("POST /checkout/{full}/test/pay", ("origin", "https://evil.example"), body=b""),
    page("GET /checkout/{full}/test/pay"),
    page("GET /checkout/{full}/preview.png"),
    page("GET /l/nonsense"),
    page("GET /static/checkout.css"),
    page("GET /static/checkout.css?v=x"),
    page("GET /static/checkout.css", *GZIP),
    page("HEAD /static/checkout.css"),
    page("GET /static/checkout.css", ("range", "bytes=0-9")),
    page("POST /static/checkout.css"),
    page("GET /static/nonsense.css"),
    page("GET /static/"),
    page("GET /static"),
    page("GET /favicon.ico"),
    page("GET /docs"),
    page("GET /docs", *GZIP),
    page("GET /docs/errors", ("if-none-match", "*")),
    page("GET /docs/nonsense"),
    page("GET /openapi.json"),
    page("GET /openapi.json", ("if-none-match", "*")),
    page("GET /api/v1/openapi.json", *GZIP),
    page("POST /api/v1/openapi.json"),
    page("GET /healthz"),
    page("HEAD /healthz"),
    page("POST /healthz"),
    page("GET /readyz"),
    page("GET /metrics"),
    page("GET /metrics", ("authorization", f"Bearer {METRICS_TOKEN}")),
    page("GET /metrics", ("authorization", f"Bearer {METRICS_TOKEN}"), *GZIP),
)
DASHBOARD = (
    page("GET /dashboard"),
    page("GET /dashboard/"),
    page("GET /dashboard/nonsense"),
    page("GET /dashboard/sign-in"),
    page("POST /dashboard/sign-in", ("origin", "https://evil.example"), body=b"password=x"),
    page("POST /dashboard/set-up", body=f"token={{token}}&password={PASSWORD}&again={PASSWORD}".encode()),
    *(
        page(f"GET /dashboard/test{path}", ("cookie", "{cookies}"), *GZIP)
        for path in ("", "/payments", "/payments/{full}", "/events", "/settings", "/nonsense")
    ),
    page("GET /dashboard/test/payments", ("cookie", "{cookies}")),
    page("PUT /dashboard/test/payments", ("cookie", "{cookies}"), ("origin", "https://shop.example")),
    page("POST /dashboard/sign-out", ("cookie", "{cookies}"), body=b""),
)


async def test_every_answer_is_as_recorded(tmp_path: Path, still_rate_limits: RateClock) -> None:
    del still_rate_limits
    before = _requests()
    async with open_app(
        tmp_path,
        clock=Clock(NOW),
        metrics_token=METRICS_TOKEN,
        server={"public_url": "https://shop.example", "trusted_proxies": ["127.0.0.1"]},
    ) as app:
        _, key = await app.key()
        recorder = Recorder(
            app.opened.web,
            {"host": "shop.example", "authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        recorder.known["live"] = (await app.key(livemode=True))[1]
        recorder.known["narrow"] = (await app.key(scopes=[]))[1]
        recorder.known["token"] = await app.opened.owner.set_up_link.make()
        with capture_logs() as logs:
            answers = [
                await recorder.record(asked) for asked in (*MADE, *READ, *LISTS, *CHANGED, *REFUSED, *PAGES, *DASHBOARD)
            ]
    lines = [line for line in logs if line["event"] == "request"]
    found: dict[str, list[Any]] = {
        "answers": answers,
        "metrics": sorted([*labels, times] for labels, times in (_requests() - before).items()),
        "log": [
            f"{line['method']} {recorder.named(line['path'])} {line['status']} {line['address']}" for line in lines
        ],
    }
    if os.environ.get("RECORD_ANSWERS"):
        RECORDED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        pytest.skip("the answers were recorded")
    recorded = json.loads(RECORDED.read_text("utf-8"))
    for answer, expected in zip(found["answers"], recorded["answers"], strict=True):
        assert answer == expected
    assert json.loads(json.dumps(found)) == recorded


def _requests() -> Counter[tuple[str, ...]]:
    """Return how many requests the metrics have counted, by method, route and status."""
    family = next(each for each in metrics.REGISTRY.collect() if each.name == "checkout_http_requests")
    return Counter({tuple(each.labels.values()): int(each.value) for each in family.samples})

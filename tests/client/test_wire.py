"""The requests of each method of the client, letter by letter, as a server that only listens receives them."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from crypto_checkout.client import CheckoutClient
from crypto_checkout.client.methods import list_method, method
from tests.client.test_retries import KEY, Moody, Reply

NOON = datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=1)))

CALLS: dict[str, tuple[Callable[[CheckoutClient], Any], str, Any]] = {
    "payment_links.create": (
        lambda it: it.payment_links.create(
            title="Tea", fiat_amount=Decimal("1E+2"), chain_id=1, success_url="https://x", metadata={"my_key": "v"}
        ),
        "POST /payment_links",
        {
            "title": "Tea",
            "fiatAmount": "100",
            "chainId": 1,
            "successUrl": "https://x",
            "metadata": {"my_key": "v"},
        },
    ),
    "payment_links.retrieve": (lambda it: it.payment_links.retrieve("pl_1"), "GET /payment_links/pl_1", None),
    "payment_links.update": (
        lambda it: it.payment_links.update("pl_1", active=False, description=None),
        "PATCH /payment_links/pl_1",
        {"active": False, "description": None},
    ),
    "payment_links.delete": (lambda it: it.payment_links.delete("pl_1"), "DELETE /payment_links/pl_1", None),
    "payment_links.list": (
        lambda it: it.payment_links.list(active=True, limit=5, starting_after="abc").page(),
        "GET /payment_links?active=true&limit=5&starting_after=abc",
        None,
    ),
    "checkout_sessions.create": (
        lambda it: it.checkout_sessions.create(
            amount={"value": Decimal("9.90"), "currency": "EUR"},
            customer_email="a@b.cd",
            expires_in_seconds=60,
            assets=[{"chainId": 1, "asset": "ETH"}, {"chainId": 10, "asset": "USDC"}],
        ),
        "POST /checkout_sessions",
        {
            "amount": {"value": "9.90", "currency": "EUR"},
            "customerEmail": "a@b.cd",
            "expiresInSeconds": 60,
            "assets": [{"chainId": 1, "asset": "ETH"}, {"chainId": 10, "asset": "USDC"}],
        },
    ),
    "checkout_sessions.retrieve": (
        lambda it: it.checkout_sessions.retrieve("cs_1"),
        "GET /checkout_sessions/cs_1",
        None,
    ),
    "checkout_sessions.list": (
        lambda it: it.checkout_sessions.list(
            status="paid", link_id=None, customer_email="a+b@c.de", created_after=NOON
        ).page(),
        "GET /checkout_sessions?status=paid&customerEmail=a%2Bb%40c.de&createdAfter=2026-01-31T12%3A00%3A00.000Z",
        None,
    ),
    "checkout_sessions.expire": (
        lambda it: it.checkout_sessions.expire("cs_1"),
        "POST /checkout_sessions/cs_1/expire",
        None,
    ),
    "checkout_sessions.accept": (
        lambda it: it.checkout_sessions.accept("cs_1"),
        "POST /checkout_sessions/cs_1/accept",
        None,
    ),
    "webhook_endpoints.create": (
        lambda it: it.webhook_endpoints.create(url="https://x", events=["*"]),
        "POST /webhook_endpoints",
        {"url": "https://x", "events": ["*"]},
    ),
    "webhook_endpoints.retrieve": (
        lambda it: it.webhook_endpoints.retrieve("we_1"),
        "GET /webhook_endpoints/we_1",
        None,
    ),
    "webhook_endpoints.update": (
        lambda it: it.webhook_endpoints.update("we_1", events=("session.paid",)),
        "PATCH /webhook_endpoints/we_1",
        {"events": ["session.paid"]},
    ),
    "webhook_endpoints.delete": (
        lambda it: it.webhook_endpoints.delete("we_1"),
        "DELETE /webhook_endpoints/we_1",
        None,
    ),
    "webhook_endpoints.list": (
        lambda it: it.webhook_endpoints.list(ending_before="abc").page(),
        "GET /webhook_endpoints?ending_before=abc",
        None,
    ),
    "webhook_endpoints.test": (lambda it: it.webhook_endpoints.test("we_1"), "POST /webhook_endpoints/we_1/test", None),
    "webhook_endpoints.rotate_secret": (
        lambda it: it.webhook_endpoints.rotate_secret("we_1", overlap_seconds=0),
        "POST /webhook_endpoints/we_1/rotate_secret",
        {"overlapSeconds": 0},
    ),
    "checkout_sessions.payments": (
        lambda it: it.checkout_sessions.payments("cs_1", limit=5).page(),
        "GET /checkout_sessions/cs_1/payments?limit=5",
        None,
    ),
    "webhook_endpoints.deliveries": (
        lambda it: it.webhook_endpoints.deliveries("we_1", status="abandoned").page(),
        "GET /webhook_endpoints/we_1/deliveries?status=abandoned",
        None,
    ),
    "webhook_endpoints.replay": (
        lambda it: it.webhook_endpoints.replay("we_1", since=NOON),
        "POST /webhook_endpoints/we_1/replay",
        {"since": "2026-01-31T12:00:00.000Z"},
    ),
    "events.retrieve": (lambda it: it.events.retrieve("evt_1"), "GET /events/evt_1", None),
    "events.list": (
        lambda it: it.events.list(type="session.paid", resource_id="cs_1").page(),
        "GET /events?type=session.paid&resourceId=cs_1",
        None,
    ),
    "customers.create": (
        lambda it: it.customers.create(email="a@b.cd", name="Ada"),
        "POST /customers",
        {"email": "a@b.cd", "name": "Ada"},
    ),
    "customers.retrieve": (lambda it: it.customers.retrieve("cus_1"), "GET /customers/cus_1", None),
    "customers.update": (lambda it: it.customers.update("cus_1", name=None), "PATCH /customers/cus_1", {"name": None}),
    "customers.list": (lambda it: it.customers.list(page=2, limit=10).page(), "GET /customers?page=2&limit=10", None),
    "test_helpers.pay": (
        lambda it: it.test_helpers.pay("cs_1", scenario="reorged_after_paid"),
        "POST /test_helpers/checkout_sessions/cs_1/pay",
        {"scenario": "reorged_after_paid"},
    ),
    "test_helpers.answer": (
        lambda it: it.test_helpers.answer("cs_1", email="ada@example.com", custom_fields={"your_size": "M"}),
        "POST /test_helpers/checkout_sessions/cs_1/answer",
        {"email": "ada@example.com", "customFields": {"your_size": "M"}},
    ),
    "test_helpers.collect": (
        lambda it: it.test_helpers.collect("cs_1"),
        "POST /test_helpers/checkout_sessions/cs_1/collect",
        None,
    ),
    "test_helpers.mine": (lambda it: it.test_helpers.mine(blocks=3), "POST /test_helpers/chain/mine", {"blocks": 3}),
    "test_helpers.reorg": (lambda it: it.test_helpers.reorg(depth=2), "POST /test_helpers/chain/reorg", {"depth": 2}),
    "test_helpers.outage": (
        lambda it: it.test_helpers.outage(seconds=5),
        "POST /test_helpers/chain/outage",
        {"seconds": 5},
    ),
    "test_helpers.price_outage": (
        lambda it: it.test_helpers.price_outage(seconds=5),
        "POST /test_helpers/prices/outage",
        {"seconds": 5},
    ),
    "refunds.create": (
        lambda it: it.refunds.create(session_id="cs_1", amount=Decimal("0.5"), reason="Broken", destination=None),
        "POST /refunds",
        {"sessionId": "cs_1", "amount": "0.5", "reason": "Broken", "destination": None},
    ),
    "refunds.retrieve": (lambda it: it.refunds.retrieve("ref_1"), "GET /refunds/ref_1", None),
    "refunds.list": (
        lambda it: it.refunds.list(status="to_pay", session_id="cs_1").page(),
        "GET /refunds?status=to_pay&sessionId=cs_1",
        None,
    ),
    "refunds.cancel": (lambda it: it.refunds.cancel("ref_1"), "POST /refunds/ref_1/cancel", None),
    "refunds.paid": (
        lambda it: it.refunds.paid("ref_1", tx_hash="0x" + "7e" * 32),
        "POST /refunds/ref_1/paid",
        {"txHash": "0x" + "7e" * 32},
    ),
    "test_helpers.pay_refund": (
        lambda it: it.test_helpers.pay_refund("ref_1"),
        "POST /test_helpers/refunds/ref_1/pay",
        None,
    ),
    "collections.retrieve": (lambda it: it.collections.retrieve("col_1"), "GET /collections/col_1", None),
    "collections.list": (
        lambda it: it.collections.list(status="confirmed").page(),
        "GET /collections?status=confirmed",
        None,
    ),
    "balances.list": (
        lambda it: it.balances.list(chain_id=1, asset="USDC", held=True).page(),
        "GET /balances?chainId=1&asset=USDC&held=true",
        None,
    ),
    "balances.totals": (lambda it: it.balances.totals(chain_id=1), "GET /balances?chainId=1&limit=1", None),
    "test_helpers.advance_clock": (
        lambda it: it.test_helpers.advance_clock(seconds=900),
        "POST /test_helpers/clock/advance",
        {"seconds": 900},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_method_sends_what_the_contract_says(name: str) -> None:
    call, target, body = CALLS[name]
    empty = Reply(200, body=b'{"object": "list", "data": [], "hasMore": false, "nextCursor": null, "totals": []}')
    with Moody(empty) as server, CheckoutClient(server.url, KEY) as client:
        call(client)
    (request,) = server.requests
    method, _, path = target.partition(" ")
    assert (request.method, request.path) == (method, f"/api/v1{path}")
    assert (json.loads(request.body) if request.body else None) == body
    assert request.headers.get("content-type") == (None if body is None else "application/json")
    assert ("idempotency-key" in request.headers) is (method != "GET")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("crypto-checkout-python/")


def test_every_method_stands_in_the_table() -> None:
    client = CheckoutClient("http://127.0.0.1", KEY)
    offered = {
        f"{resource}.{name}"
        for resource, value in vars(client).items()
        for name, kind in vars(type(value)).items()
        if isinstance(kind, method | list_method)
    }
    client.close()
    assert offered == set(CALLS)


def test_numbered_pages_are_turned_until_the_total_is_reached() -> None:
    def numbered(page: int, *ids: str) -> Reply:
        answer = {"object": "list", "data": [{"id": each} for each in ids], "total": 5, "page": page, "limit": 2}
        return Reply(200, body=json.dumps(answer).encode())

    replies = [numbered(1, "cus_5", "cus_4"), numbered(2, "cus_3", "cus_2"), numbered(3, "cus_1")]
    with Moody(*replies, *replies) as server, CheckoutClient(server.url, KEY) as client:
        customers = client.customers.list(limit=2)
        assert [customer["id"] for customer in customers] == ["cus_5", "cus_4", "cus_3", "cus_2", "cus_1"]
        first = customers.page()
    assert (first.total, first.has_more, first.next_cursor) == (5, True, None)
    queries = [request.path.partition("?")[2] for request in server.requests]
    assert queries == ["limit=2", "limit=2&page=2", "limit=2&page=3", "limit=2"]


@pytest.mark.parametrize("wrong", [datetime(2026, 1, 31, 12, 0), object()])  # noqa: DTZ001 - without a zone on purpose
def test_what_has_no_exact_meaning_in_json_is_not_sent(wrong: Any) -> None:
    with (
        Moody(Reply(200)) as server,
        CheckoutClient(server.url, KEY) as client,
        pytest.raises((ValueError, TypeError), match=r"without a zone|can't be sent"),
    ):
        client.webhook_endpoints.replay("we_1", since=wrong)
    assert server.requests == []

"""The calls that cause each event in test mode: over the API, as a shop and its payers would make them."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from crypto_checkout.cli.demo.scenarios import ENDS
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.core.webhooks.events import EventType

if TYPE_CHECKING:
    from crypto_checkout.client import (
        CheckoutClient,
        EndpointResource,
        LinkResource,
        RefundResource,
        SessionResource,
    )

Story = Callable[["CheckoutClient"], str]
"""Causes an event and returns the id of its resource. Raises the client's errors and NotYet."""

_PRICE = Decimal("10.00")
_NAME = "Made by crypto-checkout trigger"
_WAIT_SECONDS = 20.0
_POLL_SECONDS = 0.1
_REORG_DEPTHS = (4, 8, 16, 32, 64)
_NOBODY = "0x00000000000000000000000000000000000decaf"
_NOWHERE = "https://example.com/webhooks"


class NotYet(Exception):
    """The server can't cause this event; the message gives the reason."""


# --- sessions --------------------------------------------------------------------------------------------------------


def _new_session(client: "CheckoutClient") -> "SessionResource":
    return client.checkout_sessions.create(amount={"value": _PRICE, "currency": "USD"})


def _create_session(client: "CheckoutClient") -> str:
    return _new_session(client)["id"]


def _detect(client: "CheckoutClient") -> str:
    return client.test_helpers.pay(_create_session(client))["id"]


def _expire(client: "CheckoutClient") -> str:
    return client.checkout_sessions.expire(_create_session(client))["id"]


def _play(client: "CheckoutClient", scenario: Scenario) -> str:
    """Have the server drive a session through a scenario."""
    from crypto_checkout.client import InvalidRequest

    session = _new_session(client)
    try:
        client.test_helpers.pay(session["id"], scenario=scenario.value)
    except InvalidRequest as error:
        client.checkout_sessions.expire(session["id"])
        raise NotYet(f'it knows no scenario "{scenario}"') from error
    return session["id"]


# --- links and webhook endpoints: they are deleted again --------------------------------------------------------------


@contextmanager
def _link(client: "CheckoutClient") -> "Iterator[LinkResource]":
    made = client.payment_links.create(title=_NAME, fiat_amount=_PRICE)
    try:
        yield made
    finally:
        client.payment_links.delete(made["id"])


def _create_link(client: "CheckoutClient") -> str:
    with _link(client) as link:
        return link["id"]


def _update_link(client: "CheckoutClient") -> str:
    with _link(client) as link:
        return client.payment_links.update(link["id"], active=False)["id"]


@contextmanager
def _endpoint(client: "CheckoutClient", url: str, *, active: bool) -> "Iterator[EndpointResource]":
    made = client.webhook_endpoints.create(url=url, events=["*"], description=_NAME, active=active)
    try:
        yield made
    finally:
        client.webhook_endpoints.delete(made["id"])


def _create_endpoint(client: "CheckoutClient") -> str:
    with _endpoint(client, _NOWHERE, active=False) as endpoint:
        return endpoint["id"]


def _update_endpoint(client: "CheckoutClient") -> str:
    with _endpoint(client, _NOWHERE, active=False) as endpoint:
        return client.webhook_endpoints.update(endpoint["id"], description="Changed")["id"]


def _disable_endpoint(client: "CheckoutClient") -> str:
    """Let an endpoint answer 410 to a webhook, which disables it."""
    from crypto_checkout.client import InvalidRequest

    try:
        with _gone() as url, _endpoint(client, url, active=True) as endpoint:
            _create_link(client)
            wait_for_event(client, EventType.ENDPOINT_DISABLED, endpoint["id"])
            return endpoint["id"]
    except InvalidRequest as error:
        raise NotYet("it sends no webhooks to this machine; [webhooks] allow_private_networks allows it") from error


@contextmanager
def _gone() -> Iterator[str]:
    """Serve an endpoint on this machine that answers 410 to everything; yield its URL."""

    class AnsweringHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(HTTPStatus.GONE)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), AnsweringHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/webhooks"
        finally:
            server.shutdown()
            thread.join()


# --- customers -------------------------------------------------------------------------------------------------------


def _create_customer(client: "CheckoutClient") -> str:
    return client.customers.create(email=f"trigger-{secrets.token_hex(6)}@example.com")["id"]


def _update_customer(client: "CheckoutClient") -> str:
    return client.customers.update(_create_customer(client), name="Ada Lovelace")["id"]


# --- refunds ---------------------------------------------------------------------------------------------------------


def _new_refund(client: "CheckoutClient", *, destination: str | None = None) -> "RefundResource":
    session = client.test_helpers.pay(_create_session(client))
    client.test_helpers.mine(blocks=session["requiredConfirmations"])
    return client.refunds.create(session_id=session["id"], reason=_NAME, destination=destination)


def _create_refund(client: "CheckoutClient") -> str:
    return _new_refund(client)["id"]


def _address_refund(client: "CheckoutClient") -> str:
    return _new_refund(client, destination=_NOBODY)["id"]


def _cancel_refund(client: "CheckoutClient") -> str:
    return client.refunds.cancel(_create_refund(client))["id"]


def _pay_refund(client: "CheckoutClient") -> str:
    return client.test_helpers.pay_refund(_create_refund(client))["id"]


def _answer(client: "CheckoutClient") -> str:
    asking = client.checkout_sessions.create(
        amount={"value": _PRICE, "currency": "USD"}, payer_fields={"email": "required"}
    )
    return client.test_helpers.answer(asking["id"], email="ada@example.com")["id"]


def _refund_session(client: "CheckoutClient") -> str:
    return client.test_helpers.pay_refund(_create_refund(client))["sessionId"]


def _reorg_refund(client: "CheckoutClient") -> str:
    """Pay a refund and replace its block: the fourth from the end, or deeper where blocks came meanwhile."""
    refund_id = _pay_refund(client)
    for depth in _REORG_DEPTHS:
        client.test_helpers.reorg(depth=depth)
        if _reported(client, EventType.REFUND_REORGED, refund_id):
            break
    return refund_id


# --- collections -----------------------------------------------------------------------------------------------------


def _collect(client: "CheckoutClient") -> str:
    return client.test_helpers.collect(_detect(client))["id"]


def _confirm_collection(client: "CheckoutClient") -> str:
    collection_id = _collect(client)
    client.test_helpers.mine(blocks=3)
    return collection_id


# --- all of them -----------------------------------------------------------------------------------------------------

_STORIES: Mapping[EventType, Story] = {
    EventType.SESSION_CREATED: _create_session,
    EventType.SESSION_DETECTED: _detect,
    EventType.SESSION_EXPIRED: _expire,
    EventType.LINK_CREATED: _create_link,
    EventType.LINK_UPDATED: _update_link,
    EventType.LINK_DELETED: _create_link,
    EventType.ENDPOINT_CREATED: _create_endpoint,
    EventType.ENDPOINT_UPDATED: _update_endpoint,
    EventType.ENDPOINT_DELETED: _create_endpoint,
    EventType.ENDPOINT_DISABLED: _disable_endpoint,
    EventType.CUSTOMER_CREATED: _create_customer,
    EventType.CUSTOMER_UPDATED: _update_customer,
    EventType.SESSION_REFUNDED: _refund_session,
    EventType.SESSION_UPDATED: _answer,
    EventType.REFUND_CREATED: _create_refund,
    EventType.REFUND_ADDRESS_GIVEN: _address_refund,
    EventType.REFUND_APPROVED: _pay_refund,
    EventType.REFUND_PAID: _pay_refund,
    EventType.REFUND_REORGED: _reorg_refund,
    EventType.REFUND_CANCELED: _cancel_refund,
    EventType.COLLECTION_CREATED: _collect,
    EventType.COLLECTION_CONFIRMED: _confirm_collection,
}


def story_of(event_type: EventType) -> Story | None:
    """Return the calls that cause an event; None for one that no call of the API causes.

    A session's event without calls of its own is caused by the first scenario that contains it.
    """
    story = _STORIES.get(event_type)
    if story is not None or event_type.resource != "session":
        return story
    scenarios = (scenario for scenario, (_, events) in ENDS.items() if event_type.occurrence in events.split())
    scenario = next(scenarios, None)
    return None if scenario is None else partial(_play, scenario=scenario)


def wait_for_event(client: "CheckoutClient", event_type: EventType, resource_id: str) -> str:
    """Return the id of the event, once it is in the log. Raises NotYet if it doesn't arrive."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := _reported(client, event_type, resource_id):
            return found
        time.sleep(_POLL_SECONDS)
    raise NotYet(f"{resource_id} finished, but {event_type} was not reported within {_WAIT_SECONDS:g} s")


def _reported(client: "CheckoutClient", event_type: EventType, resource_id: str) -> str | None:
    """Return the id of the newest such event of a resource."""
    found = client.events.list(type=event_type.value, resource_id=resource_id, limit=1).page().data
    return found[0]["id"] if found else None

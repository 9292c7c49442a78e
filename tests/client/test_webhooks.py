"""Deliveries of a real server, checked with the client's `verify_webhook`."""

from collections.abc import Iterator
from email.message import Message

import httpx
import pytest

from crypto_checkout.client import CheckoutClient, EventResource, InvalidSignature, SessionResource, verify_webhook
from crypto_checkout.webhooks import signing
from tests.support.receiver import Received, Receiver
from tests.support.server import Server


class Delivered:
    """A received delivery, the secret that signed it, and its session."""

    def __init__(self, received: Received, secret: str, session: SessionResource) -> None:
        self.received = received
        self.secret = secret
        self.session = session


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    with Receiver() as receiver, Server(tmp_path_factory.mktemp("webhooks")) as server:
        assert server.key is not None
        with CheckoutClient(server.url, server.key) as client:
            endpoint = client.webhook_endpoints.create(url=receiver.url, events=["session.created"])
            session = client.checkout_sessions.create(amount={"value": "10.00", "currency": "USD"})
            server.wait_until(lambda: bool(receiver.received), "deliver the event")
        yield Delivered(receiver.received[0], endpoint["secret"], session)


def test_a_delivery_becomes_its_event(delivered: Delivered) -> None:
    received = delivered.received
    event: EventResource = verify_webhook(received.body, received.headers, delivered.secret)
    assert (event["type"], event["data"]) == ("session.created", delivered.session)
    assert event["id"] == received.headers["webhook-id"]


def test_headers_are_taken_from_any_framework_and_in_any_case(delivered: Delivered) -> None:
    received = delivered.received
    message = Message()
    for name, value in received.headers.items():
        message[name.title()] = value
    shouted = {name.upper(): value for name, value in received.headers.items()}
    for headers in (message, shouted, httpx.Headers(received.headers)):
        assert verify_webhook(received.body, headers, delivered.secret)["id"] == received.headers["webhook-id"]


def test_a_body_changed_in_one_byte_is_refused(delivered: Delivered) -> None:
    received = delivered.received
    tampered = received.body.replace(b'"amount":"10.00"', b'"amount":"90.00"')
    assert tampered != received.body
    with pytest.raises(InvalidSignature):
        verify_webhook(tampered, received.headers, delivered.secret)


def test_another_secret_is_refused(delivered: Delivered) -> None:
    with pytest.raises(InvalidSignature):
        verify_webhook(delivered.received.body, delivered.received.headers, "whsec_" + "A" * 44)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_delivery_of_another_time_is_refused_unless_that_is_tolerated(delivered: Delivered, seconds: int) -> None:
    received = delivered.received
    now = int(received.headers["x-webhook-timestamp"]) + seconds
    with pytest.raises(InvalidSignature, match="more than 300 s"):
        verify_webhook(received.body, received.headers, delivered.secret, now=now)
    assert verify_webhook(received.body, received.headers, delivered.secret, now=now, tolerance_seconds=301)


def test_a_request_without_a_signature_is_refused(delivered: Delivered) -> None:
    with pytest.raises(InvalidSignature, match="X-Webhook-Signature is missing"):
        verify_webhook(delivered.received.body, {"Content-Type": "application/json"}, delivered.secret)


def test_the_clock_of_this_machine_decides_when_no_time_is_given(delivered: Delivered) -> None:
    body = delivered.received.body
    of_2001 = signing.headers("evt_1", body, [delivered.secret], timestamp=1_000_000_000)
    with pytest.raises(InvalidSignature, match="too old"):
        verify_webhook(body, of_2001, delivered.secret)

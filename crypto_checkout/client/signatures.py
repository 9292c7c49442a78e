"""Verification of webhooks by their receiver. No network."""

import json
import time
from collections.abc import Iterable
from typing import Protocol

from crypto_checkout.core.public.types import EventResource
from crypto_checkout.webhooks import signing
from crypto_checkout.webhooks.signing import InvalidSignature

_HEADER = "x-webhook-signature"


class Headers(Protocol):
    """The headers of any framework: a dict, or an object of its own."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return names and values."""


def verify_webhook(
    payload: bytes | str,
    headers: Headers,
    secret: str,
    *,
    tolerance_seconds: int = signing.DEFAULT_TOLERANCE_SECONDS,
    now: int | None = None,
) -> EventResource:
    """Verify that a delivery comes from your server, unaltered and recent, and return its event.

    The same event may arrive more than once: handle each `id` only once.

    Args:
        payload: the raw request body, before any parsing; a str is encoded as UTF-8.
        headers: the request's headers; their names may be in any case.
        secret: the endpoint's whole secret, `whsec_…`.
        tolerance_seconds: the greatest age of a delivery, and its greatest lead over this machine's clock.
        now: Unix seconds, in place of this machine's clock.

    Raises:
        InvalidSignature: Don't trust the delivery; answer with status 400.

    """
    signature = next((value for name, value in headers.items() if name.lower() == _HEADER), None)
    if signature is None:
        raise InvalidSignature("the header X-Webhook-Signature is missing")
    timestamp = int(time.time()) if now is None else now
    body = payload.encode() if isinstance(payload, str) else payload
    signing.verify(signature, body, secret, now=timestamp, tolerance_seconds=tolerance_seconds)
    event: EventResource = json.loads(body)
    return event

"""The receiver's end of a webhook: is it from the server, and what does it say. No network."""

import json
import time
from collections.abc import Iterable
from typing import Protocol

from crypto_checkout.core.public.types import EventResource
from crypto_checkout.webhooks import signing
from crypto_checkout.webhooks.signing import InvalidSignature

_HEADER = "x-webhook-signature"


class Headers(Protocol):
    """Headers as any framework has them: a dict, or an object of its own."""

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
    """Check that a delivery came from the server, unchanged and lately, and return its event.

    The same event may come more than once: act on each `id` once only.

    Args:
        payload: the body as received, before any parsing; a text is taken as UTF-8.
        headers: those of the request, in any case.
        secret: the endpoint's whole `whsec_…` text.
        tolerance_seconds: how old, or ahead of this clock, a delivery may be.
        now: Unix seconds; this machine's clock unless given.

    Raises:
        InvalidSignature: Nothing of it may be believed; answer with 400.

    """
    signature = next((value for name, value in headers.items() if name.lower() == _HEADER), None)
    if signature is None:
        raise InvalidSignature("the header X-Webhook-Signature is missing")
    moment = int(time.time()) if now is None else now
    body = payload.encode() if isinstance(payload, str) else payload
    signing.verify(signature, body, secret, now=moment, tolerance_seconds=tolerance_seconds)
    event: EventResource = json.loads(body)
    return event

"""Signatures of deliveries, and their verification by receivers. Pure: no clock, no randomness, no network.

Each delivery carries two schemes: our `X-Webhook-Signature`, and Standard Webhooks 1.0
(https://www.standardwebhooks.com), so that any of its libraries can verify it. They differ in the key: ours is the
whole `whsec_…` text, that of Standard Webhooks is the decoded base64 part.
"""

import base64
import hmac
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of every secret, not a secret
ENTROPY_BYTES = 32
DEFAULT_TOLERANCE_SECONDS = 300

_MAX_TIMESTAMP_DIGITS = 12


class InvalidSignature(ValueError):
    """The header does not prove that the body came from the holder of the secret; the message gives the reason."""


def new_secret(entropy: bytes) -> str:
    """Make a signing secret of 32 random bytes, which the caller takes from `secrets`."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a webhook secret is made of {ENTROPY_BYTES} random bytes, not {len(entropy)}")
    return SECRET_PREFIX + base64.b64encode(entropy).decode("ascii")


class DeliverySigner:
    """Signs attempts with the valid secrets of an endpoint, newest first; more than one while a rotation overlaps."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("a delivery needs at least one live secret to sign it")
        # Keyed once: to copy one costs a fifth of keying it again.
        self._ours = [hmac.new(secret.encode(), digestmod="sha256") for secret in secrets]
        self._standard = [hmac.new(_standard_key(secret), digestmod="sha256") for secret in secrets]

    def headers(self, event_id: str, body: bytes, timestamp: int) -> dict[str, str]:
        """Sign one attempt.

        Args:
            event_id: becomes `webhook-id`; the same for every attempt, so that receivers can drop repetitions.
            body: exactly the bytes to be sent.
            timestamp: Unix seconds of this attempt, not of the event.
        """
        ours, standard = b"%d.%b" % (timestamp, body), b"%b.%d.%b" % (event_id.encode(), timestamp, body)
        signatures = [f"v1={_digest(keyed, ours).hex()}" for keyed in self._ours]
        standard_signatures = [f"v1,{_base64(_digest(keyed, standard))}" for keyed in self._standard]
        return {
            "X-Webhook-Signature": ",".join([f"t={timestamp}", *signatures]),
            "X-Webhook-Timestamp": str(timestamp),
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(standard_signatures),
        }


def headers(event_id: str, body: bytes, secrets: Sequence[str], timestamp: int) -> dict[str, str]:
    """Sign one attempt, as `DeliverySigner` does."""
    return DeliverySigner(secrets).headers(event_id, body, timestamp)


def verify(
    header: str, body: bytes, secret: str, *, now: int, tolerance_seconds: int = DEFAULT_TOLERANCE_SECONDS
) -> None:
    """Verify an `X-Webhook-Signature` header against the raw body.

    Args:
        header: the header's value, untrusted; anything malformed is refused.
        body: the bytes as received, before any JSON parsing.
        secret: the whole `whsec_…` text.
        now: Unix seconds.
        tolerance_seconds: the greatest age of the timestamp, and its greatest lead; it bounds replays.

    Raises:
        InvalidSignature: the header is malformed, made with another secret or body, or too old or too new.
    """
    timestamp, candidates = _parse(header)
    expected = _signature(body, secret, timestamp).encode("ascii")
    # Every candidate is compared, and in constant time: the duration reveals nothing about the right signature.
    if not any([hmac.compare_digest(expected, candidate) for candidate in candidates]):  # noqa: C419 - no short cut
        raise InvalidSignature("no v1 signature in X-Webhook-Signature matches this body and secret")
    if abs(now - timestamp) > tolerance_seconds:
        age = "old" if timestamp < now else "far in the future"
        raise InvalidSignature(f"the timestamp {timestamp} is too {age}: more than {tolerance_seconds} s from {now}")


def _parse(header: str) -> tuple[int, list[bytes]]:
    """Split `t=…,v1=…,v1=…`; unknown schemes are ignored."""
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    timestamps = [value for name, value in pairs if name == "t"]
    candidates = [value.encode("utf-8", "replace") for name, value in pairs if name == "v1"]
    if len(timestamps) != 1 or not _is_timestamp(timestamps[0]):
        raise InvalidSignature("X-Webhook-Signature needs exactly one t=<Unix seconds>")
    if not candidates:
        raise InvalidSignature("X-Webhook-Signature holds no v1 signature")
    return int(timestamps[0]), candidates


def _is_timestamp(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_TIMESTAMP_DIGITS


def _signature(body: bytes, secret: str, timestamp: int) -> str:
    return hmac.digest(secret.encode(), b"%d.%b" % (timestamp, body), "sha256").hex()


def _digest(keyed: hmac.HMAC, message: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(message)
    return mac.digest()


def _standard_key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)


def _base64(signature: bytes) -> str:
    return base64.b64encode(signature).decode("ascii")

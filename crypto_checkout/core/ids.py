"""Public ids: a prefix and a ULID (https://github.com/ulid/spec), sortable by time and impossible to guess."""

import re
from datetime import UTC, datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

ENTROPY_BYTES = 10
"""Random bytes in one id."""

_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
"""Two digits each: ten bits at a time."""

_LOW_60 = 2**60 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE = re.compile(r"[a-z]+_[0-7][0-9A-HJKMNP-TV-Z]{25}")

LINK = "pl"
SESSION = "cs"
ENDPOINT = "we"
EVENT = "evt"
CUSTOMER = "cus"
REQUEST = "req"
API_KEY = "ak"
ALERT = "alr"
LOGIN = "lg"
REFUND = "ref"
COLLECTION = "col"
CLAIM = "rc"


def make(prefix: str, at: datetime, entropy: bytes) -> str:
    """Return `{prefix}_{ULID}`: 48 bits of milliseconds, 80 bits of entropy, in Crockford's base 32."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"an id takes {ENTROPY_BYTES} random bytes, got {len(entropy)}")
    # Integers: float arithmetic would turn some milliseconds into the one before.
    since = at - _EPOCH
    milliseconds = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    if milliseconds < 0:
        raise ValueError(f"an id can't tell of a time before 1970: {at}")
    number = (milliseconds << 80) | int.from_bytes(entropy)
    high, low, p = number >> 60, number & _LOW_60, _PAIRS  # small numbers, and no loop: every request has an id
    return (
        f"{prefix}_{p[high >> 60]}{p[high >> 50 & 1023]}{p[high >> 40 & 1023]}{p[high >> 30 & 1023]}"
        f"{p[high >> 20 & 1023]}{p[high >> 10 & 1023]}{p[high & 1023]}{p[low >> 50]}{p[low >> 40 & 1023]}"
        f"{p[low >> 30 & 1023]}{p[low >> 20 & 1023]}{p[low >> 10 & 1023]}{p[low & 1023]}"
    )


def is_id(text: str, prefix: str) -> bool:
    """Tell whether a text has the shape of an id with this prefix."""
    return text.startswith(prefix + "_") and _SHAPE.fullmatch(text) is not None

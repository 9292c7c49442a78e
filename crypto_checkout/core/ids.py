"""Public ids: a prefix and a ULID (https://github.com/ulid/spec), sortable by time and impossible to guess."""

import re
from datetime import UTC, datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

ENTROPY_BYTES = 10
"""Random bytes in one id."""

_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
"""Two digits each: ten bits at a time."""

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
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])}"


def is_id(text: str, prefix: str) -> bool:
    """Tell whether a text has the shape of an id with this prefix."""
    return text.startswith(prefix + "_") and _SHAPE.fullmatch(text) is not None

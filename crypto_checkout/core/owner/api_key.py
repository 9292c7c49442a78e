"""An API key: its shape, its scopes, and what of it is kept."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"ck_(live|test)_[0-9A-Za-z]{32}")

DISPLAYED_CHARACTERS = 14
"""How much of a key is kept for display."""

ENTROPY_BYTES = 32


class Scope(StrEnum):
    """What a key may do."""

    LINKS_READ = "links:read"
    LINKS_WRITE = "links:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    EVENTS_READ = "events:read"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: `prefix` is its displayed beginning; the key itself is known only as a SHA-256."""

    id: str
    livemode: bool
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def make(livemode: bool, entropy: bytes) -> str:
    """Return `ck_live_` or `ck_test_` and 32 base62 characters (190 bits) of the given 32 random bytes."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key takes {ENTROPY_BYTES} random bytes, got {len(entropy)}")
    number = int.from_bytes(entropy)
    characters = []
    for _ in range(32):
        number, digit = divmod(number, 62)
        characters.append(_BASE62[digit])
    return f"ck_{'live' if livemode else 'test'}_{''.join(characters)}"


def has_shape(text: str) -> bool:
    """Tell whether a text could be a key at all."""
    return _SHAPE.fullmatch(text) is not None

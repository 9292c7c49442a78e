"""API keys: their form, their scopes, and the part of them that is stored."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"ck_(live|test)_[0-9A-Za-z]{32}")

DISPLAYED_CHARACTERS = 14
"""The length of a key's beginning that is kept for display."""

ENTROPY_BYTES = 32


class Scope(StrEnum):
    """The permissions of a key."""

    LINKS_READ = "links:read"
    LINKS_WRITE = "links:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    EVENTS_READ = "events:read"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    COLLECTIONS_READ = "collections:read"
    REFUNDS_READ = "refunds:read"
    REFUNDS_WRITE = "refunds:write"
    BALANCES_READ = "balances:read"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored: `prefix` is its displayed beginning; of the key itself only a SHA-256 is kept."""

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
    """Tell whether a text has the form of a key."""
    return _SHAPE.fullmatch(text) is not None

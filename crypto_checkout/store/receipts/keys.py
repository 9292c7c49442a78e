"""The keys that sign receipts. A key stays when another takes its place: what it signed can be verified for good."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """A key: `kid` is its thumbprint (RFC 7638), `public_key` its 32 bytes in base64url, `private_key` encrypted."""

    kid: str
    public_key: str
    private_key: str
    created_at: datetime


_KEYS = Table("receipt_keys", ReceiptKey)


def add(unit: WriteUnit, key: ReceiptKey) -> None:
    """Store a new key."""
    unit.run(_KEYS.insert, _KEYS.values(key))


def newest_first(unit: ReadUnit) -> list[ReceiptKey]:
    """Return all keys."""
    return _KEYS.all(unit, "ORDER BY seq DESC")

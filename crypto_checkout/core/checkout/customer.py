"""A customer: whoever paid with an email address, or was entered by the merchant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from unicodedata import normalize


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as it is stored; the email is unique per mode, whatever its case."""

    id: str
    livemode: bool
    email: str
    name: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str] | None = field(default=None, hash=False)


def email_key(email: str) -> str:
    """Return what two spellings of the same email share: emails are compared whatever their case.

    Letters that are written in several ways (Unicode, normalisation form C) are one letter; `ß` is not `ss`.
    """
    return normalize("NFC", normalize("NFC", email).lower())

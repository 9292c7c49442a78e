"""Customers: payers with an email address, and the merchant's own entries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from unicodedata import normalize

LONGEST_EMAIL = 254
"""The longest address that mail servers take, in characters (RFC 5321)."""

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s.\x00-\x1f\x7f-\x9f]+(\.[^@\s.\x00-\x1f\x7f-\x9f]+)+")


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as stored; the email is unique in its mode, whatever its case."""

    id: str
    livemode: bool
    email: str
    name: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str] | None = field(default=None, hash=False)


def is_email(text: str) -> bool:
    """Tell whether a text has the form of an email address."""
    return _EMAIL.fullmatch(text) is not None


def search_text(email: str, name: str | None, metadata: Mapping[str, str] | None) -> str:
    """Return what a customer is searched by: email, name and values of the metadata, folded, one a line."""
    return "\n".join(map(email_key, (email, name or "", *(metadata or {}).values())))


def email_key(email: str) -> str:
    """Return the form in which emails are compared: in lower case and Unicode normalisation form KC.

    Characters that stand for others, such as the Kelvin sign, the long s and full-width letters, count as those. `ß`
    stays different from `ss`. The form of a form is the form itself.
    """
    return normalize("NFKC", normalize("NFKC", email).lower())

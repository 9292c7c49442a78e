"""The one-time token for setting the first password. Its digest is kept in memory only: a restart makes another."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from crypto_checkout.core.moments import Clock

GOOD_FOR = timedelta(minutes=30)


class SetUpLink:
    """The token of this start of the server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._digest = b""
        self._until: datetime | None = None

    def make(self) -> str:
        """Return a new token, and invalidate the one before it."""
        token = secrets.token_urlsafe(32)
        self._digest = _digest(token)
        self._until = self._clock() + GOOD_FOR
        return token

    def is_good(self, token: str) -> bool:
        """Tell whether this is the token, still within its time."""
        is_in_time = self._until is not None and self._clock() < self._until
        return hmac.compare_digest(_digest(token), self._digest) and is_in_time

    def use_up(self) -> None:
        """Invalidate the token."""
        self._until = None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

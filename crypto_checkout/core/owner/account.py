"""The dashboard's one account, and its logins."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

IDLE = timedelta(hours=12)
"""The time without use after which a login ends."""

LONGEST = timedelta(days=14)
"""The age at which a login ends, used or not."""

CONFIRMED_FOR = timedelta(minutes=10)
"""The time after which pages for keys, secrets and the wallet ask for the password again."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The account. `totp_secret` is None without a second factor; it is encrypted."""

    password_hash: str = field(repr=False)
    password_set_at: datetime
    totp_secret: str | None = field(repr=False)
    totp_step: int


@dataclass(frozen=True, slots=True)
class Browser:
    """The origin of a request, as far as it is known."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Login:
    """A signed-in browser; `confirmed_at` is the last time the password was entered in it."""

    id: str
    browser: Browser
    created_at: datetime
    seen_at: datetime
    confirmed_at: datetime

    def is_valid(self, now: datetime) -> bool:
        """Tell whether the login is still valid."""
        return now < self.ends_at

    @property
    def ends_at(self) -> datetime:
        """The end of the login if it isn't used any more."""
        return min(self.seen_at + IDLE, self.created_at + LONGEST)

    def is_confirmed(self, now: datetime) -> bool:
        """Tell whether the password was entered recently."""
        return abs(now - self.confirmed_at) < CONFIRMED_FOR

"""Who uses the dashboard: the one account, and its logins."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

IDLE = timedelta(hours=12)
"""A login that nobody used for so long has ended."""

LONGEST = timedelta(days=14)
"""A login has ended so long after it began, used or not."""

CONFIRMED_FOR = timedelta(minutes=10)
"""Keys, secrets and the wallet want the password again when it was last given longer ago."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The account. `totp_secret` (base32) is None while no second factor is asked for."""

    password_hash: str = field(repr=False)
    password_set_at: datetime
    totp_secret: str | None = field(repr=False)
    totp_step: int


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a request comes from, as far as it can be told."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Login:
    """A browser that is signed in; `confirmed_at` is when the password was last given in it."""

    id: str
    browser: Browser
    created_at: datetime
    seen_at: datetime
    confirmed_at: datetime

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it has neither been left alone nor gone on for too long."""
        return now < self.ends_at

    @property
    def ends_at(self) -> datetime:
        """When it ends if nobody uses it."""
        return min(self.seen_at + IDLE, self.created_at + LONGEST)

    def is_confirmed(self, now: datetime) -> bool:
        """Tell whether the password was given lately."""
        return abs(now - self.confirmed_at) < CONFIRMED_FOR

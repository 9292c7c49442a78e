"""Webhook endpoints: their subscriptions, their signing secrets, and the failures after which one is disabled."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

ALL_EVENTS = "*"

MOST_OLD_SECRETS = 5
"""The number of secrets that may sign besides the newest."""

PREFIX_CHARACTERS = 12
"""The length of the beginning of a secret that is shown, `whsec_` included."""

_DAY = timedelta(days=1)
_HOPELESS_DAYS = 5


@dataclass(frozen=True, slots=True)
class OldSecret:
    """A rotated secret, encrypted, which still signs until a moment."""

    text: str = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """Failures of an endpoint without a success between them.

    Days count from `since`, the first failure, and only days with a failure: a clock that jumps ahead adds one.
    `counted_at` is the first failure of the newest of these `days`.
    """

    since: datetime
    counted_at: datetime
    days: int = 1

    def extended(self, at: datetime) -> "FailureStreak":
        """Return the streak with one more failure."""
        if at < self.since:  # the clock was put back
            return FailureStreak(at, at)
        if (at - self.since) // _DAY <= (self.counted_at - self.since) // _DAY:
            return self
        return replace(self, counted_at=at, days=self.days + 1)

    def is_hopeless(self, at: datetime) -> bool:
        """Tell whether to disable the endpoint: after five days, with failures on at least five of them."""
        return at - self.since >= _HOPELESS_DAYS * _DAY and self.days >= _HOPELESS_DAYS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint as stored; `events` holds event types, or only `"*"`.

    Its secrets are encrypted (`crypto_checkout.encryption`); `secret_prefix`, the beginning of the newest, is shown.
    Since `missed_since` it may have missed events because it was switched off; a replay from then on clears it.
    """

    id: str
    livemode: bool
    url: str
    events: tuple[str, ...]
    description: str | None
    active: bool
    disabled_reason: str | None
    secret: str = field(repr=False)
    secret_prefix: str
    created_at: datetime
    updated_at: datetime
    old_secrets: tuple[OldSecret, ...] = ()
    missed_since: datetime | None = None
    failing: FailureStreak | None = None

    def secrets(self, now: datetime) -> list[str]:
        """Return the secrets that sign now, encrypted, newest first."""
        return [self.secret, *(old.text for old in self.old_secrets if now < old.until)]

    def rotated(self, secret: str, prefix: str, now: datetime, overlap: timedelta) -> "Endpoint":
        """Return it with a new, encrypted secret. Old ones sign during the overlap; without one only the new does."""
        still = [old for old in (OldSecret(self.secret, now + overlap), *self.old_secrets) if now < old.until]
        kept = tuple(still[:MOST_OLD_SECRETS]) if overlap else ()
        return replace(self, secret=secret, secret_prefix=prefix, old_secrets=kept, updated_at=now)

    def subscribes_to(self, event_type: str) -> bool:
        """Tell whether it subscribes to events of this type, switched on or not."""
        return includes(self.events, event_type)


def includes(subscribed: Collection[str], event_type: str) -> bool:
    """Tell whether a subscription to these events is one to this type."""
    return ALL_EVENTS in subscribed or event_type in subscribed

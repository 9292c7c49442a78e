"""A webhook endpoint: where events of its mode are sent to, what signs them, and when it is given up."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

ALL_EVENTS = "*"

MOST_OLD_SECRETS = 5
"""How many secrets may sign beside the newest one."""

_DAY = timedelta(days=1)
_HOPELESS_DAYS = 5


@dataclass(frozen=True, slots=True)
class OldSecret:
    """A secret that was rotated out and signs until a moment."""

    text: str
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
        """Return what a further failure makes of it."""
        if at < self.since:  # the clock was put back
            return FailureStreak(at, at)
        if (at - self.since) // _DAY <= (self.counted_at - self.since) // _DAY:
            return self
        return replace(self, counted_at=at, days=self.days + 1)

    def is_hopeless(self, at: datetime) -> bool:
        """Tell whether it is time to give up: five days, and failures on at least five of them."""
        return at - self.since >= _HOPELESS_DAYS * _DAY and self.days >= _HOPELESS_DAYS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint as it is stored; `events` holds event types, or only `"*"`.

    `missed_since` is the moment from which on it may have missed events because it was switched off; a replay since
    then clears it.
    """

    id: str
    livemode: bool
    url: str
    events: tuple[str, ...]
    description: str | None
    active: bool
    disabled_reason: str | None
    secret: str
    created_at: datetime
    updated_at: datetime
    old_secrets: tuple[OldSecret, ...] = ()
    missed_since: datetime | None = None
    failing: FailureStreak | None = None

    def secrets(self, now: datetime) -> list[str]:
        """Return the secrets that sign now, the newest first."""
        return [self.secret, *(old.text for old in self.old_secrets if now < old.until)]

    def rotated(self, secret: str, now: datetime, overlap: timedelta) -> "Endpoint":
        """Return it with a new secret; the one before signs for the overlap. Without one nothing but the new signs."""
        still = [old for old in (OldSecret(self.secret, now + overlap), *self.old_secrets) if now < old.until]
        kept = tuple(still[:MOST_OLD_SECRETS]) if overlap else ()
        return replace(self, secret=secret, old_secrets=kept, updated_at=now)

    def receives(self, event_type: str) -> bool:
        """Tell whether an event of this type is to be sent here."""
        return self.active and self.subscribes_to(event_type)

    def subscribes_to(self, event_type: str) -> bool:
        """Tell whether an event of this type is asked for, whether or not the endpoint is switched on."""
        return ALL_EVENTS in self.events or event_type in self.events

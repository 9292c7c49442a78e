"""A webhook endpoint: where events of its mode are sent to."""

from dataclasses import dataclass
from datetime import datetime

ALL_EVENTS = "*"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint as it is stored; `events` holds event types, or only `"*"`.

    After a rotation `old_secret` signs beside `secret` until `old_secret_until`.
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
    old_secret: str | None = None
    old_secret_until: datetime | None = None

    def secrets(self, now: datetime) -> list[str]:
        """Return the secrets that sign now, the newest first."""
        is_overlapping = self.old_secret_until is not None and now < self.old_secret_until
        return [self.secret, *([self.old_secret] if self.old_secret is not None and is_overlapping else [])]

    def wants(self, event_type: str) -> bool:
        """Tell whether an event of this type is to be sent here."""
        return self.active and self.names(event_type)

    def names(self, event_type: str) -> bool:
        """Tell whether an event of this type is asked for, whether or not the endpoint is switched on."""
        return ALL_EVENTS in self.events or event_type in self.events

"""A webhook endpoint: where events of its mode are sent to."""

from dataclasses import dataclass
from datetime import datetime

ALL_EVENTS = "*"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint as it is stored; `events` holds event types, or only `"*"`."""

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

    def wants(self, event_type: str) -> bool:
        """Tell whether an event of this type is to be sent here."""
        return self.active and (ALL_EVENTS in self.events or event_type in self.events)

"""Record events and their deliveries, in the unit of work that makes the change."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from crypto_checkout import metrics
from crypto_checkout.core import ids
from crypto_checkout.core.public import render
from crypto_checkout.core.webhooks.events import Event, EventType
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.webhooks import deliveries, endpoints
from crypto_checkout.store.webhooks import events as store

_NOTHING: Mapping[str, Any] = {}


def _no_wake(_: bool) -> None:
    """Wake nobody: the dispatcher of another process finds the rows when it polls."""


class Outbox:
    """The writing side of the queue; after a commit, `wake` wakes the dispatcher of a mode (True: live)."""

    def __init__(self, wake: Callable[[bool], None] = _no_wake) -> None:
        self.wake = wake
        self._listeners: dict[EventType, Callable[[str], None]] = {}

    def on(self, event_type: EventType, listener: Callable[[str], None]) -> None:
        """Have a function called after the commit of each event of a type, with the id of what it is about.

        Whoever made the change gets its answer after that.
        """
        self._listeners[event_type] = listener

    def record(
        self, unit: WriteUnit, event_type: EventType, resource: Mapping[str, Any], text: str | None = None
    ) -> None:
        """Store an event with the resource as it is now, and a delivery for each endpoint subscribed to it.

        The event has the resource's mode. `text` is the resource's JSON, where that was written already.
        """
        event = Event(unit.new_id(ids.EVENT), resource["livemode"], event_type, unit.now, resource)
        body = _event_body(event, text)
        subscribed = endpoints.subscribed(unit, event.livemode, event.type)
        store.insert(unit, event, resource["id"], body)
        for endpoint_id in subscribed:
            deliveries.enqueue(unit, event.id, endpoint_id)
        if subscribed:
            unit.after_commit(self.wake, event.livemode)
        unit.after_commit(_counter(event_type, event.livemode))
        if event_type in self._listeners:
            unit.after_commit(self._listeners[event_type], resource["id"])


@cache
def _counter(event_type: EventType, livemode: bool) -> Callable[[], None]:
    """Return what counts an event; the library looks the labels up at every call."""
    return metrics.EVENTS.labels(event_type, "live" if livemode else "test").inc


def _event_body(event: Event, text: str | None) -> str:
    if text is None:
        return render.json_text(render.event(event))
    around = render.json_text({**render.event(event), "data": _NOTHING})
    return around.replace('"data":{}', f'"data":{text}', 1)

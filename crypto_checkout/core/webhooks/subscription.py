"""The scopes that a key needs to send events to an endpoint: those with which it may read the same."""

from collections.abc import Collection, Iterable, Mapping

from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.rows import one_row_each
from crypto_checkout.core.webhooks.endpoint import ALL_EVENTS
from crypto_checkout.core.webhooks.events import EventType

_SCOPES: Mapping[str, Scope] = one_row_each(
    "core.webhooks.subscription",
    sorted({event_type.resource for event_type in EventType}),
    {
        "session": Scope.SESSIONS_READ,
        "payment_link": Scope.LINKS_READ,
        "webhook_endpoint": Scope.WEBHOOKS_READ,
        "customer": Scope.CUSTOMERS_READ,
        "refund": Scope.REFUNDS_READ,
        "collection": Scope.COLLECTIONS_READ,
        "api_key": Scope.EVENTS_READ,  # the API shows keys in events only
    },
)


def lacking_scope(events: Iterable[str], scopes: Collection[str]) -> Scope | None:
    """Return a scope that a key with these scopes lacks to receive such events; None if it may.

    `events` are types or `"*"`. Every event can be read with `events:read`.
    """
    if Scope.EVENTS_READ in scopes:
        return None
    for event_type in events:
        needed = Scope.EVENTS_READ if event_type == ALL_EVENTS else _SCOPES[EventType(event_type).resource]
        if needed not in scopes:
            return needed
    return None

"""Every operation of the API, in the order of the documentation."""

from crypto_checkout.http.api.resources import (
    balances,
    collections,
    customers,
    endpoints,
    events,
    links,
    refunds,
    sandbox,
    sessions,
)

from .operations import Operation


def table() -> list[Operation]:
    """Return every operation of the API."""
    return [
        *sessions.OPERATIONS,
        *links.OPERATIONS,
        *endpoints.OPERATIONS,
        *events.OPERATIONS,
        *customers.OPERATIONS,
        *refunds.OPERATIONS,
        *balances.OPERATIONS,
        *collections.OPERATIONS,
        *sandbox.OPERATIONS,
    ]

"""Every operation of the API, in the order in which the documentation shows them."""

from . import customers, endpoints, events, links, sessions, test_helpers
from .operations import Operation


def table() -> list[Operation]:
    """Return every operation of the API."""
    return [
        *sessions.OPERATIONS,
        *links.OPERATIONS,
        *endpoints.OPERATIONS,
        *events.OPERATIONS,
        *customers.OPERATIONS,
        *test_helpers.OPERATIONS,
    ]

"""Presses of an order form's button: no client reserves a whole stock.

In memory, so that a restart forgets it; of several processes each gives a client its share.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

MOST_UNPAID = 10
"""The most unpaid sessions by which one client may reserve pieces of one link."""

_MOST_FORMS = 10_000
_MOST_CLIENTS = 10_000


@dataclass(slots=True)
class Reservations:
    """The newest sessions that a client made from a link, the newest last. `lock` is held while another is made."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    unpaid: list[str] = field(default_factory=list)


class Presses:
    """The newest orders, and the newest sessions of each client and link."""

    def __init__(self) -> None:
        self._forms: OrderedDict[str, asyncio.Lock] = OrderedDict()
        self._clients: OrderedDict[tuple[str, str], Reservations] = OrderedDict()

    def of(self, form: str) -> asyncio.Lock:
        """Return the lock that is held while the session of a form is made, by what identifies it and its order."""
        press = self._forms.setdefault(form, asyncio.Lock())
        self._forms.move_to_end(form)
        if len(self._forms) > _MOST_FORMS:
            self._forms.popitem(last=False)
        return press

    def reservations(self, link_id: str, client: str) -> Reservations:
        """Return what a client reserves of a link, for the caller to keep up to date."""
        found = self._clients.setdefault((link_id, client), Reservations())
        self._clients.move_to_end((link_id, client))
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return found

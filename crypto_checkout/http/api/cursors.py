"""Cursors of lists: opaque to clients, a place in one list of one mode to us.

The id of an object of the list is taken for its place too: those who poll for what is new begin with the newest.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from crypto_checkout.core import ids
from crypto_checkout.core.errors import InvalidCursor
from crypto_checkout.store.paging import ListPage, Window

_PREFIXES = {
    "checkout_sessions": ids.SESSION,
    "payment_links": ids.LINK,
    "webhook_endpoints": ids.ENDPOINT,
    "events": ids.EVENT,
}


def window(list_name: str, livemode: bool, limit: int, starting_after: str | None, ending_before: str | None) -> Window:
    """Return the part of a list that is asked for. Raises InvalidCursor."""
    if starting_after is not None and ending_before is not None:
        raise InvalidCursor("Give starting_after or ending_before, not both.", param="ending_before")
    after = None if starting_after is None else _decode(starting_after, list_name, livemode, "starting_after")
    before = None if ending_before is None else _decode(ending_before, list_name, livemode, "ending_before")
    return Window(limit, after, before)


def listed(list_name: str, livemode: bool, page: ListPage[Any], asked: Window) -> dict[str, Any]:
    """Return a page as the API answers it.

    `nextCursor` goes on in the direction that was asked for. Towards the newer end it is there also when nothing is
    new, so that those who poll always have one.
    """
    if asked.before is not None:
        next_cursor = _newest(list_name, livemode, page, asked.before)
    else:
        next_cursor = _encode(list_name, livemode, page.last_seq) if page.has_more and page.last_seq else None
    items: Sequence[Mapping[str, Any]] = page.items
    return {"object": "list", "data": list(items), "hasMore": page.has_more, "nextCursor": next_cursor}


def _newest(list_name: str, livemode: bool, page: ListPage[Any], before: int | str) -> str | None:
    """Return where to go on from; that is the same place again when nothing is newer."""
    place = before if page.first_seq is None else page.first_seq
    return place if isinstance(place, str) else _encode(list_name, livemode, place)


def _encode(list_name: str, livemode: bool, seq: int) -> str:
    text = json.dumps([list_name, int(livemode), seq], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, list_name: str, livemode: bool, param: str) -> int | str:
    """Read a cursor. It must be exactly as `_encode` writes it, so that a place has one name only."""
    if ids.is_id(cursor, _PREFIXES.get(list_name, "")):
        return cursor
    wrong = InvalidCursor(f"{param}: not a cursor of this list; use nextCursor of one of its answers.", param=param)
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        *_, seq = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise wrong from None
    if type(seq) is not int or not 0 < seq < 2**63 or _encode(list_name, livemode, seq) != cursor:
        raise wrong
    return seq

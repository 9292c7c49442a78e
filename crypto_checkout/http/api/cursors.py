"""Cursors of lists: opaque texts for clients, positions in one list of one mode for the server.

An object's id is a cursor, too, so that clients can begin to poll for newer objects with the newest one they know.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from crypto_checkout.core import ids
from crypto_checkout.core.errors import InvalidCursor
from crypto_checkout.core.public import render
from crypto_checkout.store.paging import ListPage, Window

_PREFIXES = {
    "checkout_sessions": ids.SESSION,
    "payment_links": ids.LINK,
    "webhook_endpoints": ids.ENDPOINT,
    "events": ids.EVENT,
    "refunds": ids.REFUND,
    "collections": ids.COLLECTION,
}


def window(list_name: str, livemode: bool, limit: int, starting_after: str | None, ending_before: str | None) -> Window:
    """Return the requested part of a list. Raises InvalidCursor."""
    if starting_after is not None and ending_before is not None:
        raise InvalidCursor("Give starting_after or ending_before, not both.", param="ending_before")
    after = None if starting_after is None else _decode(starting_after, list_name, livemode, "starting_after")
    before = None if ending_before is None else _decode(ending_before, list_name, livemode, "ending_before")
    return Window(limit, after, before)


def list_answer(list_name: str, livemode: bool, page: ListPage[Any], requested: Window) -> dict[str, Any]:
    """Return the API's answer with a page of a list.

    `nextCursor` continues in the direction of the request. Towards newer objects it is set even when there are none, so
    that a polling client always has one.
    """
    items: Sequence[Mapping[str, Any]] = page.items
    return {"object": "list", "data": list(items), **_ends(list_name, livemode, page, requested)}


def list_body(list_name: str, livemode: bool, page: ListPage[bytes], requested: Window) -> bytes:
    """Return what `list_answer` does as JSON, for items that are JSON already."""
    ends = render.json_bytes(_ends(list_name, livemode, page, requested))
    return b'{"object":"list","data":[%b],%b' % (b",".join(page.items), ends[1:])


def _ends(list_name: str, livemode: bool, page: ListPage[Any], requested: Window) -> dict[str, Any]:
    if requested.before is not None:
        next_cursor = _newest_cursor(list_name, livemode, page, requested.before)
    else:
        next_cursor = _encode(list_name, livemode, page.last_seq) if page.has_more and page.last_seq else None
    return {"hasMore": page.has_more, "nextCursor": next_cursor}


def _newest_cursor(list_name: str, livemode: bool, page: ListPage[Any], before: int | str) -> str | None:
    """Return the cursor for the next poll: the same one when nothing is newer."""
    position = before if page.first_seq is None else page.first_seq
    return position if isinstance(position, str) else _encode(list_name, livemode, position)


def _encode(list_name: str, livemode: bool, seq: int) -> str:
    text = json.dumps([list_name, int(livemode), seq], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, list_name: str, livemode: bool, param: str) -> int | str:
    """Parse a cursor. Only the exact output of `_encode` is valid, so that a position has a single cursor."""
    if ids.is_id(cursor, _PREFIXES.get(list_name, "")):
        return cursor
    invalid = InvalidCursor(f"{param}: not a cursor of this list; use nextCursor of one of its answers.", param=param)
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        *_, seq = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise invalid from None
    if type(seq) is not int or not 0 < seq < 2**63 or _encode(list_name, livemode, seq) != cursor:
        raise invalid
    return seq

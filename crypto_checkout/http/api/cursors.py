"""Cursors of lists: opaque to clients, a place in one list of one mode to us."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from crypto_checkout.core.errors import InvalidCursor
from crypto_checkout.store.lists import Page, Window


def window(list_name: str, livemode: bool, limit: int, starting_after: str | None, ending_before: str | None) -> Window:
    """Return the part of a list that is asked for. Raises InvalidCursor."""
    if starting_after is not None and ending_before is not None:
        raise InvalidCursor("Give starting_after or ending_before, not both.", param="ending_before")
    after = None if starting_after is None else _decode(starting_after, list_name, livemode, "starting_after")
    before = None if ending_before is None else _decode(ending_before, list_name, livemode, "ending_before")
    return Window(limit, after, before)


def listed(list_name: str, livemode: bool, page: Page[Any], asked: Window) -> dict[str, Any]:
    """Return a page as the API answers it.

    `nextCursor` goes on in the direction that was asked for. Towards the newer end it is there also when nothing is
    new, so that those who poll always have one.
    """
    if asked.before is not None:
        place = page.first_seq if page.first_seq is not None else asked.before
        next_cursor: str | None = _encode(list_name, livemode, place)
    else:
        next_cursor = _encode(list_name, livemode, page.last_seq) if page.has_more and page.last_seq else None
    items: Sequence[Mapping[str, Any]] = page.items
    return {"object": "list", "data": list(items), "hasMore": page.has_more, "nextCursor": next_cursor}


def _encode(list_name: str, livemode: bool, seq: int) -> str:
    text = json.dumps([list_name, int(livemode), seq], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, list_name: str, livemode: bool, param: str) -> int:
    """Read a cursor. It must be exactly as `_encode` writes it, so that a place has one name only."""
    wrong = InvalidCursor(f"{param}: not a cursor of this list; use nextCursor of one of its answers.", param=param)
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        *_, seq = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise wrong from None
    if type(seq) is not int or not 0 < seq < 2**63 or _encode(list_name, livemode, seq) != cursor:
        raise wrong
    return seq

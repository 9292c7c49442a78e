"""The way back: a page opened from a list knows the list with its filters, by the parameter `back` of its query.

It is a path within the dashboard and always put behind the dashboard's own, so it can't lead to another site.
"""

import re
from urllib.parse import parse_qsl

PARAMETER = "back"

PLACES = frozenset({"after", "before", "page", "sort", PARAMETER})
"""Parameters of a list that choose a part of it, or its order, and filter nothing."""

OF_ONE_MODE = frozenset({"after", "before", "page", PARAMETER, "link", "resource", "payment", "session", "chain"})
"""Parameters that mean nothing in the other mode: places in a list, ids and chains."""

_PATH = re.compile(r"/(?:[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*)?(?:\?[!-\"$-\[\]-~]*)?")
"""Segments without dots, then a query without blanks, backslashes, fragments or anything that isn't ASCII."""
_LONGEST = 2_000


def is_path(text: str) -> bool:
    """Tell whether a text is the path of a page, perhaps with a query."""
    return len(text) <= _LONGEST and _PATH.fullmatch(text) is not None


def title(path: str, default: str, name: str) -> str:
    """Return the words of a link back to a path; `name` is that of the list at the `default` path."""
    page, _, query = path.partition("?")
    if page != default:
        return "Back"
    return f"{name} (filtered)" if any(key not in PLACES for key, _ in parse_qsl(query)) else name

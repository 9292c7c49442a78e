"""The links under a list, to newer and to older rows."""

from dataclasses import dataclass
from typing import Any

from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.store.paging import ListPage, Window


@dataclass(frozen=True, slots=True)
class Pager:
    """URLs of the pages before and after this one; None where there is none."""

    newer: str | None
    older: str | None


def pager(request: DashboardRequest, page: ListPage[Any], window: Window) -> Pager:
    """Return the links of a page of a list; other parameters of the query, such as filters, are kept."""
    came_from_newer, came_from_older = window.after is not None, window.before is not None
    has_newer = page.has_more if came_from_older else came_from_newer
    has_older = True if came_from_older else page.has_more
    kept = {name: value for name, value in request.query_params.items() if name not in {"after", "before"}}
    return Pager(
        newer=request.url(request.path, {**kept, "before": page.first_seq}) if has_newer and page.items else None,
        older=request.url(request.path, {**kept, "after": page.last_seq}) if has_older and page.items else None,
    )

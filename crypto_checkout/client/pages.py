"""Pages of lists, and the call for the next page. Nothing is sent here."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from crypto_checkout.client.calls import ApiCall

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, newest first.

    Pass `next_cursor` as `starting_after` for the next page, or as `ending_before` in a list with that argument.
    Lists with page numbers (customers) have no cursor but a `total`, which is None for all others.
    """

    data: list[T]
    has_more: bool
    next_cursor: str | None
    total: int | None


def listed(path: str, query: Mapping[str, Any]) -> ApiCall[Page[Any]]:
    """Return the call for the first page of a list."""
    return ApiCall("GET", path, query=query, read=read)


def read(answer: Mapping[str, Any]) -> Page[Any]:
    """Read a page from the API's answer."""
    if "hasMore" in answer:
        return Page(answer["data"], answer["hasMore"], answer["nextCursor"], None)
    total = answer["total"]
    return Page(answer["data"], answer["page"] * answer["limit"] < total, None, total)


def following(call: ApiCall[Page[T]], page: Page[T]) -> ApiCall[Page[T]] | None:
    """Return the call for the next page, in the direction of the call; None after the last."""
    if not page.has_more or not page.data:
        return None
    if page.total is not None:
        change: dict[str, Any] = {"page": (call.query.get("page") or 1) + 1}
    elif page.next_cursor is None:
        return None
    else:
        change = {"ending_before" if _goes_newer(call) else "starting_after": page.next_cursor}
    return dataclasses.replace(call, query={**call.query, **change})


def in_order(call: ApiCall[Page[T]], page: Page[T]) -> Iterator[T]:
    """Yield a page's items in the direction of the call, so that an iteration over all pages is in order."""
    return reversed(page.data) if _goes_newer(call) else iter(page.data)


def _goes_newer(call: ApiCall[Page[T]]) -> bool:
    return call.query.get("ending_before") is not None

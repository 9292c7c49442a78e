"""Pages of lists, newest first, by cursor: shared by all lists of the API."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from crypto_checkout.core import moments
from crypto_checkout.core.errors import InvalidCursor
from crypto_checkout.store.database import Parameters, ReadUnit, Row, Value
from crypto_checkout.store.table import Table

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Window:
    """The requested part of a list: `limit` rows older than `after`, or newer than `before`, or the newest.

    `after` and `before` are a row's `seq` or id; at most one is given.
    """

    limit: int
    after: int | str | None = None
    before: int | str | None = None


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """Items of a list, newest first, with the `seq` of the first and the last.

    `has_more` tells whether there are more in the requested direction.
    """

    items: Sequence[T]
    has_more: bool
    first_seq: int | None
    last_seq: int | None

    def map(self, change: Callable[[T], U]) -> "ListPage[U]":
        """Return the same page with each item converted."""
        return ListPage([change(item) for item in self.items], self.has_more, self.first_seq, self.last_seq)


LAST_SEQ = 2**63 - 1
"""The greatest possible `seq`."""


def present(conditions: Parameters) -> tuple[list[str], dict[str, Value]]:
    """Return the conditions, such as `status = :status`, whose value isn't None, and their values as parameters."""
    kept = {condition: value for condition, value in conditions.items() if value is not None}
    return list(kept), {condition.rpartition(":")[2]: value for condition, value in kept.items()}


def select(
    unit: ReadUnit,
    table: Table[T],
    conditions: Sequence[str],
    parameters: Parameters,
    window: Window,
    *,
    first: int = 0,
    last: int = LAST_SEQ,
) -> ListPage[T]:
    """Return the records in a window that meet all conditions (SQL of this room), none outside `first` to `last`.

    Raises InvalidCursor if the window begins at an id that this mode doesn't have.
    """
    rows = select_rows(unit, table.name, table.listed, conditions, parameters, window, first=first, last=last)
    return rows.map(table.read)


def select_rows(
    unit: ReadUnit,
    table: str,
    columns: str,
    conditions: Sequence[str],
    parameters: Parameters,
    window: Window,
    *,
    first: int = 0,
    last: int = LAST_SEQ,
) -> ListPage[Row]:
    """Return columns, followed by `seq`, as `select` does; for rows that are not a record on their own."""
    after, before = (_seq(unit, table, place, parameters) for place in (window.after, window.before))
    # One bound per side rather than two: SQLite seeks to one bound and walks to the other.
    low = first if before is None else max(first, before + 1)
    high = last if after is None else min(last, after - 1)
    clause = " AND ".join([*conditions, "seq >= :low", "seq <= :high"])
    order = "DESC" if before is None else "ASC"
    rows = unit.all(
        f"SELECT {columns}, seq FROM {table} WHERE {clause} ORDER BY seq {order} LIMIT :limit",  # noqa: S608 - names of this room only
        {**parameters, "low": low, "high": high, "limit": window.limit + 1},
    )
    kept = rows[: window.limit]
    if window.before is not None:
        kept.reverse()
    return ListPage(
        items=kept,
        has_more=len(rows) > window.limit,
        first_seq=kept[0]["seq"] if kept else None,
        last_seq=kept[-1]["seq"] if kept else None,
    )


_CLOCK_SLACK = timedelta(minutes=10)
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def begins_after(unit: ReadUnit, table: str, livemode: bool, moment: datetime) -> int:
    """Return a lower bound for the `seq` of a mode's rows that were created after a moment.

    Lists go by `seq`, and later rows have a higher one, so a single look into the index by time saves walking over all
    older rows. The clock may be set back by up to ten minutes; after a greater step, rows created in what is now the
    future may be missed.
    """
    row = unit.one(
        f"""
        SELECT seq
        FROM {table}
        WHERE livemode = :livemode AND created_at < :moment
        ORDER BY created_at DESC
        LIMIT 1
        """,  # noqa: S608 - a name of this room only
        {"livemode": int(livemode), "moment": moments.to_text(moment - min(_CLOCK_SLACK, moment - _FIRST_MOMENT))},
    )
    return int(row["seq"]) if row else 0


def ends_before(unit: ReadUnit, table: str, livemode: bool, moment: datetime) -> int:
    """Return an upper bound for the `seq` of a mode's rows that were created before a moment; see `begins_after`."""
    row = unit.one(
        f"""
        SELECT seq
        FROM {table}
        WHERE livemode = :livemode AND created_at > :moment
        ORDER BY created_at
        LIMIT 1
        """,  # noqa: S608 - a name of this room only
        {"livemode": int(livemode), "moment": moments.to_text(moment + min(_CLOCK_SLACK, _LAST_MOMENT - moment))},
    )
    return int(row["seq"]) if row else LAST_SEQ


def _seq(unit: ReadUnit, table: str, place: int | str | None, parameters: Parameters) -> int | None:
    if not isinstance(place, str):
        return place
    row = unit.one(
        f"SELECT seq FROM {table} WHERE id = :id AND livemode = :livemode",  # noqa: S608 - a name of this room only
        {"id": place, "livemode": parameters["livemode"]},
    )
    if row is None:
        raise InvalidCursor(f"There is no {place} in this list; use nextCursor of one of its answers.")
    return int(row["seq"])

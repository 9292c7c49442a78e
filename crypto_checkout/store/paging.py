"""One page of a list, newest first: what all lists of the API share."""

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
    """Which part of a list is wanted: `limit` rows older than `after`, or newer than `before`, or the newest.

    Both are a value of the table's `seq`, or the id of a row; at most one of them is given.
    """

    limit: int
    after: int | str | None = None
    before: int | str | None = None


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """Some items of a list, newest first, with the `seq` of the first and last of them.

    `has_more` tells whether the list goes on in the direction that was asked for.
    """

    items: Sequence[T]
    has_more: bool
    first_seq: int | None
    last_seq: int | None

    def map(self, change: Callable[[T], U]) -> "ListPage[U]":
        """Return the same page with each item changed."""
        return ListPage([change(item) for item in self.items], self.has_more, self.first_seq, self.last_seq)


LAST_SEQ = 2**63 - 1
"""No row has a greater one."""


def given(conditions: Parameters) -> tuple[list[str], dict[str, Value]]:
    """Return the conditions, such as `status = :status`, whose value isn't None, and their values as parameters."""
    wanted = {condition: value for condition, value in conditions.items() if value is not None}
    return list(wanted), {condition.rpartition(":")[2]: value for condition, value in wanted.items()}


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
    """Return the records in a window that meet all conditions (SQL of this room) and lie between `first` and `last`.

    Raises InvalidCursor where the window begins at a row that isn't there in this mode.
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
    """Return some columns, and `seq` behind them, as `select` does; for rows that make no record by themselves."""
    after, before = (_seq(unit, table, place, parameters) for place in (window.after, window.before))
    # One bound on each side, and not two: SQLite seeks by one of them and walks to the other.
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
    """Return the first `seq` where rows of a mode can be that were made after a moment.

    Lists go by `seq`, and rows get later as it grows; so one look into the index of times spares the walk over all that
    is older. A clock that is put back by up to ten minutes is allowed for; after a greater step, rows that were made in
    what is now the future may be passed over.
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
    """Return the last `seq` where rows of a mode can be that were made before a moment: as `begins_after`."""
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

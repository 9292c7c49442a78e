"""Tables that must have one row for each member of an enum: the import fails when the two differ."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

K = TypeVar("K", bound=str)
V = TypeVar("V")


def one_row_each(name: str, members: Iterable[K], rows: Mapping[K, V]) -> Mapping[K, V]:
    """Return the rows in the order of the members, read-only. Raises ValueError where the two differ.

    `name` is the table's name in the error.
    """
    ordered = tuple(members)
    missing = [member for member in ordered if member not in rows]
    superfluous = [key for key in rows if key not in ordered]
    if missing or superfluous:
        faults = [f"has no row for {', '.join(missing)}"] if missing else []
        faults += [f"has a row for {', '.join(superfluous)}, which doesn't exist"] if superfluous else []
        raise ValueError(f"{name} {' and '.join(faults)}.")
    return MappingProxyType({member: rows[member] for member in ordered})

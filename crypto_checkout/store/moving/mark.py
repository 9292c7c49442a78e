"""The mark in a database that was moved, or whose copy isn't complete: it is not to be served.

The one that was left stays as it was. Served again, it would give out addresses that the other one has given out since.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from crypto_checkout.core import moments
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.data_folder import life
from crypto_checkout.store.database import ReadUnit, WriteUnit

_SELECT = "SELECT state, place, life, since, indexes FROM database_moves WHERE only_row = 1"


class MoveState(StrEnum):
    """The state of a database that isn't to be served."""

    ARRIVING = "arriving"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class MoveMark:
    """A mark: the other place, the life of the database that is copied (empty without one), since when.

    `indexes` are the statements that make the indexes again, as JSON.
    """

    state: MoveState
    place: str
    life: str
    since: str
    indexes: str = "[]"


def read(connection: Any) -> MoveMark | None:
    """Return the mark of a database, whose connection is of either engine."""
    row = connection.execute(_SELECT).fetchone()
    return None if row is None else MoveMark(MoveState(row[0]), *row[1:])


def write(connection: Any, mark: MoveMark) -> None:
    """Mark a database, in the transaction that is open."""
    connection.execute("DELETE FROM database_moves", {})
    values: Mapping[str, str] = {
        "state": mark.state.value,
        "place": mark.place,
        "life": mark.life,
        "since": mark.since,
        "indexes": mark.indexes,
    }
    connection.execute(
        """
        INSERT INTO database_moves (only_row, state, place, life, since, indexes)
        VALUES (1, :state, :place, :life, :since, :indexes)
        """,
        values,
    )


def is_left(path: Path) -> bool:
    """Tell whether a file was moved to another place, or is a copy that isn't complete: so it isn't the shop's."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return read(connection) is not None
    except sqlite3.Error:
        return False


def refuse_left_file(path: Path) -> None:
    """Raise FatalError if a file was moved to another place, or isn't complete."""
    # One that may not write would leave the files -wal and -shm behind.
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            mark = read(connection)
    except sqlite3.Error:
        return  # older than the mark, or damaged, which whoever reads it says
    _refuse(mark)


def refuse_left(unit: ReadUnit) -> None:
    """Raise FatalError if this database was moved to another place, or isn't complete."""
    row = unit.one(_SELECT)
    _refuse(None if row is None else MoveMark(MoveState(row["state"]), row["place"], row["life"], row["since"]))


def _refuse(mark: MoveMark | None) -> None:
    if mark is None:
        return
    if mark.state == MoveState.ARRIVING:
        raise FatalError(
            f"This database is a copy of {mark.place} that isn't complete. Run `crypto-checkout database copy` with "
            "the same places again: it goes on where it ended. Until then use the database that is copied."
        )
    day = moments.from_text(mark.since)
    raise FatalError(
        f"This database was moved to {mark.place} on {day:%Y-%m-%d at %H:%M} UTC. Name that one under [database] in "
        "the configuration: what came since is only there. To use this one again all the same, run "
        "`crypto-checkout database reopen`."
    )


def reopen(unit: WriteUnit, new_life: str) -> bool:
    """Let a database that was moved be served again, as one of its own; return False if it wasn't moved.

    Its new life has the next start pass over many addresses (`store.data_folder.life`): the other place may have given
    out those. Raises FatalError for a copy that isn't complete.
    """
    row = unit.one(_SELECT)
    if row is None:
        return False
    if row["state"] == MoveState.ARRIVING:
        refuse_left(unit)
    unit.run("DELETE FROM database_moves")
    life.begin(unit, new_life)
    return True

"""The cursor of each chain: its last processed block, with the newest ones before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

from crypto_checkout.core import moments
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.follow import Head, Header
from crypto_checkout.store.database import ReadUnit, Value, WriteUnit
from crypto_checkout.store.table import Table

KEPT_BLOCKS = 1024
"""The depth in blocks to which processed ones are kept, some or all: a deeper reorg can't be rolled back."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last processed block of a chain; `final_number` and `compared_time` as in `core.ledger.assess.Tip`."""

    number: int
    hash: str
    time: datetime
    final_number: int | None = None
    compared_time: datetime | None = None

    @classmethod
    def at(cls, header: Header, head: Head, compared_time: datetime | None = None) -> Self:
        """Return the cursor at a block, with the final one of a chain's head."""
        return cls(header.number, header.hash, header.time, head.final_number, compared_time)

    @property
    def header(self) -> Header:
        """The cursor as a block header; its parent's hash isn't stored."""
        return Header(self.number, self.hash, "", self.time)

    @property
    def tip(self) -> Tip:
        """The cursor as the tip that payments are judged against."""
        return Tip(self.number, self.time, self.final_number, self.compared_time)


_CURSORS = Table("chain_cursors", Cursor)
_SELECT_CURSOR = f"{_CURSORS.select} WHERE chain_id = :chain_id"
_MOVE = _CURSORS.upsert(
    ["chain_id"],
    ["number", "hash", "time", "final_number", "compared_time", "updated_at"],
    "chain_id",
    "updated_at",
)


def cursor(unit: ReadUnit, chain_id: int) -> Cursor | None:
    """Return the cursor of a chain; None before its first block."""
    return _CURSORS.one(unit, "WHERE chain_id = :chain_id", {"chain_id": chain_id})


def tips(unit: ReadUnit) -> dict[int, Tip]:
    """Return the last processed block of every chain that was ever watched, by chain id."""
    rows = unit.all("SELECT chain_id, number, time, final_number, compared_time FROM chain_cursors ORDER BY chain_id")
    return {row[0]: Tip(row[1], moments.from_text(row[2]), row[3], moments.from_optional_text(row[4])) for row in rows}


def tip(unit: ReadUnit, chain_id: int) -> Tip | None:
    """Return the last processed block of a chain."""
    rows = unit.lookup(_SELECT_CURSOR, {"chain_id": chain_id}, table="chain_cursors")
    return _read_tip(tuple(rows[0])) if rows else None


@lru_cache(maxsize=64)  # between two blocks of a chain, all sessions that are made or shown ask for the same one
def _read_tip(row: tuple[Value, ...]) -> Tip:
    return _CURSORS.read(row).tip


def move(unit: WriteUnit, chain_id: int, to: Cursor) -> None:
    """Set the last processed block."""
    unit.run(_MOVE, {**_CURSORS.values(to), "chain_id": chain_id, "updated_at": unit.now_text})


def remember(unit: WriteUnit, chain_id: int, headers: Sequence[Header]) -> None:
    """Add processed blocks, oldest first, and delete those that are `KEPT_BLOCKS` below."""
    unit.run_many(
        """
        INSERT INTO blocks (chain_id, number, hash, time)
        VALUES (:chain_id, :number, :hash, :time)
        ON CONFLICT (chain_id, number) DO UPDATE SET hash = excluded.hash, time = excluded.time
        """,
        [
            {"chain_id": chain_id, "number": each.number, "hash": each.hash, "time": moments.to_text(each.time)}
            for each in headers[-KEPT_BLOCKS:]
        ],
    )
    if headers:
        unit.run(
            "DELETE FROM blocks WHERE chain_id = :chain_id AND number <= :number",
            {"chain_id": chain_id, "number": headers[-1].number - KEPT_BLOCKS},
        )


def remembered(unit: ReadUnit, chain_id: int) -> dict[int, str]:
    """Return the hashes of the kept blocks by number, oldest first."""
    rows = unit.all(
        "SELECT number, hash FROM blocks WHERE chain_id = :chain_id ORDER BY number", {"chain_id": chain_id}
    )
    return {row["number"]: row["hash"] for row in rows}


def oldest(unit: ReadUnit, chain_id: int) -> Cursor | None:
    """Return the oldest kept block, the lowest that a rollback can reach."""
    row = unit.one(
        "SELECT number, hash, time FROM blocks WHERE chain_id = :chain_id ORDER BY number LIMIT 1",
        {"chain_id": chain_id},
    )
    return Cursor(row["number"], row["hash"], moments.from_text(row["time"])) if row else None


def newest_before(unit: ReadUnit, chain_id: int, moment: datetime) -> Header | None:
    """Return the newest kept block that isn't later than a moment; its parent's hash isn't stored."""
    row = unit.one(
        """
        SELECT number, hash, time FROM blocks
        WHERE chain_id = :chain_id AND time <= :moment
        ORDER BY number DESC
        LIMIT 1
        """,
        {"chain_id": chain_id, "moment": moments.to_text(moment)},
    )
    return Header(row["number"], row["hash"], "", moments.from_text(row["time"])) if row else None


def is_canonical(unit: ReadUnit, chain_id: int, number: int, block_hash: str) -> bool:
    """Tell whether a processed block is still canonical; one that isn't kept, as most aren't, is taken to be."""
    row = unit.one(
        "SELECT hash FROM blocks WHERE chain_id = :chain_id AND number = :number",
        {"chain_id": chain_id, "number": number},
    )
    if row is not None:
        return str(row["hash"]) == block_hash
    stored = cursor(unit, chain_id)
    return stored is not None and stored.number > number


def is_unreverted(unit: ReadUnit, chain_id: int, earlier: Cursor) -> bool:
    """Tell whether no rollback went below an earlier cursor since it was read: what was read up to it still holds.

    The last processed block is always kept, so it is missing only after a rollback, or once it is too old.
    """
    row = unit.one(
        "SELECT hash FROM blocks WHERE chain_id = :chain_id AND number = :number",
        {"chain_id": chain_id, "number": earlier.number},
    )
    if row is not None:
        return str(row["hash"]) == earlier.hash
    kept = oldest(unit, chain_id)
    return kept is not None and earlier.number < kept.number


def forget_all(unit: WriteUnit, chain_id: int) -> None:
    """Delete all kept blocks of a chain."""
    unit.run("DELETE FROM blocks WHERE chain_id = :chain_id", {"chain_id": chain_id})


def forget_above(unit: WriteUnit, chain_id: int, number: int, final_number: int | None) -> Cursor:
    """Delete the kept blocks above a number, and make the block with that number the cursor."""
    unit.run(
        "DELETE FROM blocks WHERE chain_id = :chain_id AND number > :number", {"chain_id": chain_id, "number": number}
    )
    row = unit.one(
        "SELECT hash, time FROM blocks WHERE chain_id = :chain_id AND number = :number",
        {"chain_id": chain_id, "number": number},
    )
    assert row is not None, "the common ancestor is one of the kept blocks"
    before, time = cursor(unit, chain_id), moments.from_text(row["time"])
    compared = None if before is None or before.compared_time is None else min(before.compared_time, time)
    ancestor = Cursor(number, row["hash"], time, final_number, compared)
    move(unit, chain_id, ancestor)
    return ancestor

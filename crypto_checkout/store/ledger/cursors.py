"""Where the watcher of each chain stands: the last processed block, and the newest ones before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

KEPT_BLOCKS = 1024
"""How many processed blocks are remembered: no reorg below them can be undone."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last processed block of a chain; `final_number` as in `core.ledger.assess.Tip`."""

    number: int
    hash: str
    time: datetime
    final_number: int | None = None

    @property
    def header(self) -> Header:
        """The cursor as the block it is; whose child it is isn't kept."""
        return Header(self.number, self.hash, "", self.time)

    @property
    def tip(self) -> Tip:
        """The cursor as what payments are judged against."""
        return Tip(self.number, self.time, self.final_number)


_CURSORS = Table("chain_cursors", Cursor)
_MOVE = _CURSORS.upsert(
    ["chain_id"], ["number", "hash", "time", "final_number", "updated_at"], "chain_id", "updated_at"
)


def cursor(unit: ReadUnit, chain_id: int) -> Cursor | None:
    """Return where the watcher of a chain stands; None before its first block."""
    return _CURSORS.one(unit, "WHERE chain_id = :chain_id", {"chain_id": chain_id})


def tips(unit: ReadUnit) -> dict[int, Tip]:
    """Return the last processed block of every chain that was ever watched, by the chain's id."""
    rows = unit.all("SELECT chain_id, number, time, final_number FROM chain_cursors ORDER BY chain_id")
    return {row[0]: Tip(row[1], moments.from_text(row[2]), row[3]) for row in rows}


def tip(unit: ReadUnit, chain_id: int) -> Tip | None:
    """Return the last processed block of a chain."""
    found = cursor(unit, chain_id)
    return found.tip if found else None


def move(unit: WriteUnit, chain_id: int, to: Cursor) -> None:
    """Set the last processed block."""
    unit.run(_MOVE, {**_CURSORS.values(to), "chain_id": chain_id, "updated_at": unit.now_text})


def remember(unit: WriteUnit, chain_id: int, headers: Sequence[Header]) -> None:
    """Add processed blocks, oldest first, and forget those that are too old to matter."""
    for header in headers[-KEPT_BLOCKS:]:
        unit.run(
            """
            INSERT INTO blocks (chain_id, number, hash, time)
            VALUES (:chain_id, :number, :hash, :time)
            ON CONFLICT (chain_id, number) DO UPDATE SET hash = excluded.hash, time = excluded.time
            """,
            {
                "chain_id": chain_id,
                "number": header.number,
                "hash": header.hash,
                "time": moments.to_text(header.time),
            },
        )
    if headers:
        unit.run(
            "DELETE FROM blocks WHERE chain_id = :chain_id AND number <= :number",
            {"chain_id": chain_id, "number": headers[-1].number - KEPT_BLOCKS},
        )


def remembered(unit: ReadUnit, chain_id: int) -> dict[int, str]:
    """Return the hashes of the remembered blocks by number, oldest first."""
    rows = unit.all(
        "SELECT number, hash FROM blocks WHERE chain_id = :chain_id ORDER BY number", {"chain_id": chain_id}
    )
    return {row["number"]: row["hash"] for row in rows}


def oldest(unit: ReadUnit, chain_id: int) -> Cursor | None:
    """Return the oldest remembered block, which is the lowest that a rollback can lead to."""
    row = unit.one(
        "SELECT number, hash, time FROM blocks WHERE chain_id = :chain_id ORDER BY number LIMIT 1",
        {"chain_id": chain_id},
    )
    return Cursor(row["number"], row["hash"], moments.from_text(row["time"])) if row else None


def still_has(unit: ReadUnit, chain_id: int, number: int, block_hash: str) -> bool:
    """Tell whether a block that was processed still counts: one too old to be remembered does."""
    row = unit.one(
        "SELECT hash FROM blocks WHERE chain_id = :chain_id AND number = :number",
        {"chain_id": chain_id, "number": number},
    )
    if row is not None:
        return str(row["hash"]) == block_hash
    found = cursor(unit, chain_id)
    return found is not None and found.number > number


def forget_above(unit: WriteUnit, chain_id: int, number: int, final_number: int | None) -> Cursor:
    """Drop the remembered blocks above a remembered one, and make that the cursor."""
    unit.run(
        "DELETE FROM blocks WHERE chain_id = :chain_id AND number > :number", {"chain_id": chain_id, "number": number}
    )
    row = unit.one(
        "SELECT hash, time FROM blocks WHERE chain_id = :chain_id AND number = :number",
        {"chain_id": chain_id, "number": number},
    )
    assert row is not None, "the common ancestor is one of the remembered blocks"
    back = Cursor(number, row["hash"], moments.from_text(row["time"]), final_number)
    move(unit, chain_id, back)
    return back

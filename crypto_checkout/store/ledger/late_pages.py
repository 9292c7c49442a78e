"""Pages of sessions for the slow round over all their addresses, and the block up to which each was looked at."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.store.database import ReadUnit, WriteUnit

SESSIONS = 1000
"""The sessions in one page, at most: both modes count, and `seq` may have gaps."""


@dataclass(frozen=True, slots=True)
class LatePage:
    """A page whose addresses were looked at up to block `number`."""

    page: int
    number: int


@dataclass(frozen=True, slots=True)
class LateAddress:
    """An address of a page. `units` is its expected balance from block `since` on; both are None if it was never read.

    It `is_watched` while each turn of the watcher compares its balance.
    """

    address: Address
    units: int | None
    since: int | None
    is_watched: bool


def begin(unit: WriteUnit, chain_id: int, number: int) -> None:
    """Add the pages of new sessions, looked at up to a block that none of them can have been paid in."""
    row = unit.one(
        """
        SELECT (SELECT MAX(seq) FROM checkout_sessions), (SELECT MAX(page) FROM late_pages WHERE chain_id = :chain_id)
        """,
        {"chain_id": chain_id},
    )
    assert row is not None, "it has no conditions"
    newest, known = row
    first = 0 if known is None else known + 1
    for page in range(first, 0 if newest is None else newest // SESSIONS + 1):
        unit.run(
            "INSERT INTO late_pages (chain_id, page, block_number) VALUES (:chain_id, :page, :number)",
            {"chain_id": chain_id, "page": page, "number": number},
        )


def furthest_behind(unit: ReadUnit, chain_id: int, number: int) -> list[LatePage]:
    """Return the pages that were looked at up to an earlier block than this, the furthest behind first."""
    rows = unit.all(
        """
        SELECT page, block_number FROM late_pages
        WHERE chain_id = :chain_id AND block_number < :number
        ORDER BY block_number, page
        """,
        {"chain_id": chain_id, "number": number},
    )
    return [LatePage(row["page"], row["block_number"]) for row in rows]


def addresses(unit: ReadUnit, chain_id: int, livemode: bool, page: int, since: datetime) -> list[LateAddress]:
    """Return the addresses of a page; those whose grace period ends after `since` are watched."""
    rows = unit.all(
        """
        SELECT checkout_sessions.address, units, block_number, grace_until > :since AS is_watched
        FROM checkout_sessions
        LEFT JOIN balances ON balances.chain_id = :chain_id AND balances.address = checkout_sessions.address
        WHERE seq >= :first AND seq < :end AND livemode = :livemode
        """,
        {
            "chain_id": chain_id,
            "livemode": int(livemode),
            "first": page * SESSIONS,
            "end": (page + 1) * SESSIONS,
            "since": moments.to_text(since),
        },
    )
    return [
        LateAddress(
            Address(row["address"]),
            None if row["units"] is None else int(row["units"]),
            row["block_number"],
            bool(row["is_watched"]),
        )
        for row in rows
    ]


def move(unit: WriteUnit, chain_id: int, page: int, number: int) -> None:
    """Note that a page was looked at up to a block."""
    unit.run(
        "UPDATE late_pages SET block_number = :number WHERE chain_id = :chain_id AND page = :page",
        {"chain_id": chain_id, "page": page, "number": number},
    )


def take_back(unit: WriteUnit, chain_id: int, above: int) -> None:
    """Note that the blocks above a number are others by now."""
    unit.run(
        "UPDATE late_pages SET block_number = :above WHERE chain_id = :chain_id AND block_number > :above",
        {"chain_id": chain_id, "above": above},
    )

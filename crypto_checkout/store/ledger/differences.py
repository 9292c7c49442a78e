"""Differences between ledger and chains, and the progress of the comparison in the background."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.store.database import ReadUnit, Value, WriteUnit


@dataclass(frozen=True, slots=True)
class Difference:
    """A balance that differs from the ledger; `units` is the chain's figure less the credited one."""

    session_id: str
    asset: Asset
    units: int


@dataclass(frozen=True, slots=True)
class ConfirmedDifference:
    """A difference that was found at two blocks, with the address of its session."""

    difference: Difference
    address: Address
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class ReconcileProgress:
    """The place of the last compared session, and the block up to which unnamed credits were compared."""

    session_seq: int
    block_number: int


def record(
    unit: WriteUnit, chain_id: int, compared: Collection[str], found: Sequence[Difference], block: Header
) -> list[Difference]:
    """Store the outcome for the compared sessions; return the differences that are confirmed by it.

    Those that were not found again are deleted.
    """
    confirmed = [each for each in found if _store(unit, chain_id, each, block)]
    keys = {(each.session_id, each.asset.contract or "") for each in found}
    for session_id in compared:
        rows = unit.all(
            "SELECT contract FROM differences WHERE chain_id = :chain_id AND session_id = :session_id",
            {"chain_id": chain_id, "session_id": session_id},
        )
        for row in rows:
            if (session_id, row["contract"]) not in keys:
                unit.run(
                    """
                    DELETE FROM differences
                    WHERE chain_id = :chain_id AND session_id = :session_id AND contract = :contract
                    """,
                    {"chain_id": chain_id, "session_id": session_id, "contract": row["contract"]},
                )
    return confirmed


def _store(unit: WriteUnit, chain_id: int, found: Difference, block: Header) -> bool:
    """Store a difference; return whether it was confirmed just now."""
    parameters: dict[str, Value] = {
        "chain_id": chain_id,
        "session_id": found.session_id,
        "contract": found.asset.contract or "",
    }
    unit.run(
        """
        INSERT INTO differences (
            chain_id, session_id, contract, symbol, decimals, units, found_at, found_block, confirmed_at
        )
        VALUES (:chain_id, :session_id, :contract, :symbol, :decimals, :units, :now, :block, NULL)
        ON CONFLICT (chain_id, session_id, contract) DO UPDATE SET units = excluded.units
        """,
        {
            **parameters,
            "symbol": found.asset.symbol,
            "decimals": found.asset.decimals,
            "units": str(found.units),
            "now": unit.now_text,
            "block": block.hash,
        },
    )
    changed = unit.run(
        """
        UPDATE differences SET confirmed_at = :now
        WHERE chain_id = :chain_id AND session_id = :session_id AND contract = :contract
            AND confirmed_at IS NULL AND found_block <> :block
        """,
        {**parameters, "now": unit.now_text, "block": block.hash},
    )
    return changed > 0


def suspects(unit: ReadUnit, chain_id: int, limit: int) -> list[str]:
    """Return the ids of sessions with differences, the unconfirmed ones first."""
    rows = unit.all(
        """
        SELECT session_id, MIN(CASE WHEN confirmed_at IS NULL THEN 0 ELSE 1 END) AS is_confirmed FROM differences
        WHERE chain_id = :chain_id
        GROUP BY session_id
        ORDER BY is_confirmed, session_id
        LIMIT :limit
        """,
        {"chain_id": chain_id, "limit": limit},
    )
    return [row["session_id"] for row in rows]


def confirmed(unit: ReadUnit, limit: int) -> list[ConfirmedDifference]:
    """Return the newest confirmed differences of all chains."""
    rows = unit.all(
        """
        SELECT differences.chain_id, session_id, contract, symbol, decimals, units, confirmed_at, address
        FROM differences
        JOIN checkout_sessions ON checkout_sessions.id = differences.session_id
        WHERE confirmed_at IS NOT NULL
        ORDER BY confirmed_at DESC, differences.chain_id, session_id
        LIMIT :limit
        """,
        {"limit": limit},
    )
    return [
        ConfirmedDifference(
            Difference(
                row["session_id"],
                Asset(
                    row["chain_id"],
                    row["symbol"],
                    row["decimals"],
                    Address(row["contract"]) if row["contract"] else None,
                ),
                int(row["units"]),
            ),
            Address(row["address"]),
            moments.from_text(row["confirmed_at"]),
        )
        for row in rows
    ]


def progress(unit: ReadUnit, chain_id: int) -> ReconcileProgress | None:
    """Return the progress of comparing a chain; None before the first comparison."""
    row = unit.one(
        "SELECT session_seq, block_number FROM comparisons WHERE chain_id = :chain_id", {"chain_id": chain_id}
    )
    return None if row is None else ReconcileProgress(row["session_seq"], row["block_number"])


def save_progress(unit: WriteUnit, chain_id: int, to: ReconcileProgress) -> None:
    """Store the progress of comparing a chain."""
    unit.run(
        """
        INSERT INTO comparisons (chain_id, session_seq, block_number)
        VALUES (:chain_id, :session_seq, :block_number)
        ON CONFLICT (chain_id) DO UPDATE
        SET session_seq = excluded.session_seq, block_number = excluded.block_number
        """,
        {"chain_id": chain_id, "session_seq": to.session_seq, "block_number": to.block_number},
    )

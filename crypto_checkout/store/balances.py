"""What the addresses of sessions should hold of the native coin: more than that is an internal transfer."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address

from .database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class Watched:
    """A session whose address is compared; `units` is what it should hold now, None where nobody has looked yet."""

    session_id: str
    address: Address
    units: int | None


@dataclass(frozen=True, slots=True)
class Balance:
    """What the address of a session should hold from a block on."""

    session_id: str
    block_number: int
    units: int


def watched(unit: ReadUnit, chain_id: int, since: datetime) -> list[Watched]:
    """Return the sessions in the native coin whose time, grace included, ends after a moment."""
    rows = unit.all(
        """
        SELECT checkout_sessions.id, checkout_sessions.address, balances.units
        FROM checkout_sessions
        LEFT JOIN balances ON balances.session_id = checkout_sessions.id
        WHERE checkout_sessions.chain_id = :chain_id AND grace_until > :since AND asset_contract IS NULL
        """,
        {"chain_id": chain_id, "since": moments.to_text(since)},
    )
    return [Watched(row[0], Address(row[1]), None if row[2] is None else int(row[2])) for row in rows]


def save(unit: WriteUnit, chain_id: int, found: Iterable[Balance]) -> None:
    """Store what addresses should hold from now on."""
    for balance in found:
        unit.run(
            """
            INSERT INTO balances (session_id, chain_id, block_number, units)
            VALUES (:session_id, :chain_id, :block_number, :units)
            ON CONFLICT (session_id) DO UPDATE SET block_number = excluded.block_number, units = excluded.units
            """,
            {
                "session_id": balance.session_id,
                "chain_id": chain_id,
                "block_number": balance.block_number,
                "units": str(balance.units),
            },
        )


def forget_above(unit: WriteUnit, chain_id: int, number: int) -> None:
    """Forget what was true in blocks above a number only: it is read again at that block."""
    unit.run(
        "DELETE FROM balances WHERE chain_id = :chain_id AND block_number > :number",
        {"chain_id": chain_id, "number": number},
    )

"""Unmatched payments: transfers to a watched address that no session asked for. They never count.

Either the address has a session, which asks for another asset or on another chain, or it has none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.unassigned_address import derivation_path
from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.ledger.payment import Payment, Transfer
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.ledger import payments, unnamed
from crypto_checkout.store.paging import ListPage, Window, select_rows

_COLUMNS = f"""
    session_id, address, chain_id, recorded_at, {payments.COLUMNS}, (
        SELECT derivation_index
        FROM unassigned_addresses
        WHERE unassigned_addresses.address = unmatched_payments.address
    ) AS derivation_index
"""  # noqa: S608 - the columns of a payment
_FOUND = f"SELECT {_COLUMNS} FROM unmatched_payments"  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class UnmatchedPayment:
    """A payment that matches no session's terms, on `chain_id`.

    `session_id` is the session that has its address; None for an unassigned one, which has a `derivation_index`.
    """

    session_id: str | None
    derivation_index: int | None
    chain_id: int
    payment: Payment

    @property
    def path(self) -> str | None:
        """The place of an unassigned address in the wallet."""
        return None if self.derivation_index is None else derivation_path(self.derivation_index)


def record(unit: WriteUnit, session_id: str | None, livemode: bool, chain_id: int, transfer: Transfer) -> bool:
    """Store an unmatched transfer; return whether this changed anything.

    Transfers are identified and added up as in `payments.record`. `session_id` is None for an unassigned address.
    """
    transfer = unnamed.absorb_earlier(unit, "unmatched_payments", chain_id, transfer.to, transfer)
    changed = unit.run(
        """
        INSERT INTO unmatched_payments (
            address, session_id, livemode, chain_id, tx_hash, log_index, kind, sender, contract, units, block_number,
            block_hash, block_time, canonical, recorded_at, provisional_balance, proof, agreeing
        )
        VALUES (
            :address, :session_id, :livemode, :chain_id, :tx_hash, :log_index, :kind, :sender, :contract, :units,
            :block_number, :block_hash, :block_time, 1, :recorded_at, :provisional_balance, :proof, :agreeing
        )
        ON CONFLICT (chain_id, COALESCE(tx_hash, block_hash), address, kind, COALESCE(log_index, -1)) DO UPDATE
        SET block_number = excluded.block_number, block_hash = excluded.block_hash, block_time = excluded.block_time,
            sender = excluded.sender, contract = excluded.contract, units = excluded.units, canonical = 1,
            provisional_balance = excluded.provisional_balance, proof = excluded.proof, agreeing = excluded.agreeing
        WHERE unmatched_payments.canonical = 0
        """,
        {
            "address": transfer.to,
            "session_id": session_id,
            "livemode": int(livemode),
            "chain_id": chain_id,
            "recorded_at": unit.now_text,
            **payments.columns(transfer),
        },
    )
    return changed > 0


def of_session(unit: ReadUnit, session_id: str) -> list[UnmatchedPayment]:
    """Return the unmatched payments of a session, oldest first, including those in orphaned blocks."""
    rows = unit.all(f"{_FOUND} WHERE session_id = :session_id ORDER BY seq", {"session_id": session_id})
    return [_unmatched(row) for row in rows]


def at_addresses(unit: ReadUnit, addresses: Iterable[Address]) -> list[UnmatchedPayment]:
    """Return the unmatched payments to addresses, oldest first per address, including those in orphaned blocks."""
    query = f"{_FOUND} WHERE address = :address ORDER BY seq"
    return [_unmatched(row) for address in addresses for row in unit.all(query, {"address": address})]


def listed(unit: ReadUnit, livemode: bool, window: Window) -> ListPage[UnmatchedPayment]:
    """Return a page of unmatched payments in canonical blocks, last recorded first."""
    conditions = ["livemode = :livemode", "canonical = 1"]
    return select_rows(unit, "unmatched_payments", _COLUMNS, conditions, {"livemode": int(livemode)}, window).map(
        _unmatched
    )


def has_any(unit: ReadUnit, session_id: str) -> bool:
    """Tell whether a session ever had an unmatched payment, even in a block that is orphaned by now."""
    return unit.one("SELECT 1 FROM unmatched_payments WHERE session_id = :id LIMIT 1", {"id": session_id}) is not None


def recorded(unit: ReadUnit, session_id: str) -> list[RecordedPayment]:
    """Return the unmatched payments of a session with their time of recording, oldest first."""
    rows = unit.all(f"{_FOUND} WHERE session_id = :session_id ORDER BY seq", {"session_id": session_id})
    return [_recorded(row) for row in rows]


def recorded_at(unit: ReadUnit, address: Address) -> list[RecordedPayment]:
    """Return the unmatched payments to an address with their time of recording, oldest first."""
    return [_recorded(row) for row in unit.all(f"{_FOUND} WHERE address = :address ORDER BY seq", {"address": address})]


def sessions_of(unit: ReadUnit, chain_id: int, tx_or_block_hash: str) -> list[str]:
    """Return the ids of the sessions with unmatched payments by a transaction, or by untraced transfers in a block."""
    rows = unit.all(
        """
        SELECT DISTINCT session_id FROM unmatched_payments
        WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :hash AND session_id IS NOT NULL
        """,
        {"chain_id": chain_id, "hash": tx_or_block_hash},
    )
    return [row["session_id"] for row in rows]


def unassigned_of(unit: ReadUnit, chain_id: int, tx_or_block_hash: str) -> list[Address]:
    """Return the unassigned addresses with payments by a transaction, or by untraced transfers in a block."""
    rows = unit.all(
        """
        SELECT DISTINCT address FROM unmatched_payments
        WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :hash AND session_id IS NULL
        """,
        {"chain_id": chain_id, "hash": tx_or_block_hash},
    )
    return [Address(row["address"]) for row in rows]


def orphan_above(unit: WriteUnit, chain_id: int, number: int) -> None:
    """Mark the unmatched payments in blocks above a number as orphaned."""
    unit.run(
        """
        UPDATE unmatched_payments
        SET canonical = 0
        WHERE chain_id = :chain_id AND block_number > :number AND canonical = 1
        """,
        {"chain_id": chain_id, "number": number},
    )


def _unmatched(row: Row) -> UnmatchedPayment:
    payment = payments.read(row, Address(row["address"]))
    return UnmatchedPayment(row["session_id"], row["derivation_index"], row["chain_id"], payment)


def _recorded(row: Row) -> RecordedPayment:
    return payments.recorded_payment(row, Address(row["address"]), is_asked_for=False)

"""Unmatched payments: transfers to a session's address in another asset or on another chain. They never count."""

from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.ledger.payment import Payment, Transfer
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.ledger import payments, unnamed
from crypto_checkout.store.paging import ListPage, Window, select_rows

_COLUMNS = f"session_id, unmatched_payments.chain_id, recorded_at, {payments.COLUMNS}"
_OF_SESSION = f"""
    SELECT {_COLUMNS}, checkout_sessions.address
    FROM unmatched_payments
    JOIN checkout_sessions ON checkout_sessions.id = unmatched_payments.session_id
    WHERE session_id = :session_id
"""  # noqa: S608 - the columns above


@dataclass(frozen=True, slots=True)
class UnmatchedPayment:
    """A payment that matches no session's terms, on `chain_id`, to the address of the session `session_id`."""

    session_id: str
    chain_id: int
    payment: Payment


def record(unit: WriteUnit, session_id: str, chain_id: int, transfer: Transfer) -> bool:
    """Store an unmatched transfer; return whether this changed anything.

    Transfers are identified and added up as in `payments.record`.
    """
    transfer = unnamed.with_earlier(unit, "unmatched_payments", chain_id, session_id, transfer)
    changed = unit.run(
        """
        INSERT INTO unmatched_payments (
            session_id, livemode, chain_id, tx_hash, log_index, kind, sender, contract, units, block_number,
            block_hash, block_time, canonical, recorded_at, provisional_balance
        )
        VALUES (
            :session_id, (SELECT livemode FROM checkout_sessions WHERE id = :session_id), :chain_id, :tx_hash,
            :log_index, :kind, :sender, :contract, :units, :block_number, :block_hash, :block_time, 1, :recorded_at,
            :provisional_balance
        )
        ON CONFLICT (chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1)) DO UPDATE
        SET block_number = excluded.block_number, block_hash = excluded.block_hash, block_time = excluded.block_time,
            sender = excluded.sender, contract = excluded.contract, units = excluded.units, canonical = 1,
            provisional_balance = excluded.provisional_balance
        WHERE unmatched_payments.canonical = 0
        """,
        {
            "session_id": session_id,
            "chain_id": chain_id,
            "recorded_at": unit.now_text,
            **payments.columns(transfer),
        },
    )
    return changed > 0


def of_session(unit: ReadUnit, session_id: str) -> list[UnmatchedPayment]:
    """Return the unmatched payments of a session, oldest first, including those in orphaned blocks."""
    rows = unit.all(f"{_OF_SESSION} ORDER BY unmatched_payments.seq", {"session_id": session_id})
    return [_unmatched(row, Address(row["address"])) for row in rows]


def listed(unit: ReadUnit, livemode: bool, window: Window) -> ListPage[UnmatchedPayment]:
    """Return a page of unmatched payments in canonical blocks, last recorded first."""
    conditions = ["livemode = :livemode", "canonical = 1"]
    return select_rows(unit, "unmatched_payments", _COLUMNS, conditions, {"livemode": int(livemode)}, window).map(
        lambda row: _unmatched(row, _address(unit, row["session_id"]))
    )


def has_any(unit: ReadUnit, session_id: str) -> bool:
    """Tell whether a session ever had an unmatched payment, even in a block that is orphaned by now."""
    return unit.one("SELECT 1 FROM unmatched_payments WHERE session_id = :id LIMIT 1", {"id": session_id}) is not None


def coins(unit: ReadUnit, session_id: str, chain_id: int) -> int:
    """Return the sum of a session's canonical unmatched payments in a chain's native coin."""
    rows = unit.all(
        """
        SELECT units FROM unmatched_payments
        WHERE session_id = :session_id AND chain_id = :chain_id AND contract IS NULL AND canonical = 1
        """,
        {"session_id": session_id, "chain_id": chain_id},
    )
    return sum(int(row["units"]) for row in rows)


def recorded(unit: ReadUnit, session_id: str) -> list[RecordedPayment]:
    """Return the unmatched payments of a session with their time of recording, oldest first."""
    rows = unit.all(f"{_OF_SESSION} ORDER BY unmatched_payments.seq", {"session_id": session_id})
    return [payments.recorded_payment(row, Address(row["address"]), is_asked_for=False) for row in rows]


def sessions_of(unit: ReadUnit, chain_id: int, tx_or_block_hash: str) -> list[str]:
    """Return the ids of the sessions with unmatched payments by a transaction, or by untraced transfers in a block."""
    rows = unit.all(
        """
        SELECT DISTINCT session_id FROM unmatched_payments
        WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :hash
        """,
        {"chain_id": chain_id, "hash": tx_or_block_hash},
    )
    return [row["session_id"] for row in rows]


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


def _address(unit: ReadUnit, session_id: str) -> Address:
    row = unit.one("SELECT address FROM checkout_sessions WHERE id = :id", {"id": session_id})
    assert row is not None, "sessions are never deleted"
    return Address(row["address"])


def _unmatched(row: Row, address: Address) -> UnmatchedPayment:
    return UnmatchedPayment(row["session_id"], row["chain_id"], payments.read(row, address))

"""Payments: every transfer to a session's address that was ever in a canonical block. Never deleted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import SETTLED, Session
from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.ledger.assess import deep_from
from crypto_checkout.core.ledger.payment import Payment, Proof, Transfer, TransferKind
from crypto_checkout.store.database import ReadUnit, Row, Value, WriteUnit, placeholders
from crypto_checkout.store.ledger import unnamed
from crypto_checkout.store.ledger.cursors import KEPT_BLOCKS

_NAMES = (
    "tx_hash", "log_index", "kind", "sender", "contract", "units", "block_number", "block_hash", "block_time",
    "canonical", "provisional_balance", "proof", "agreeing",
)  # fmt: skip
COLUMNS = ", ".join(_NAMES)
"""The columns of a payment, the same in this table and in that of unmatched payments."""

_SETTLED = ", ".join(f"'{status}'" for status in sorted(SETTLED))
_KINDS = {kind.value: kind for kind in TransferKind}
_PROOFS: dict[str | None, Proof | None] = {None: None, **{proof.value: proof for proof in Proof}}


@dataclass(frozen=True, slots=True)
class Orphans:
    """Numbers of payments in blocks that are not on the chain: their sessions, the settled ones, and unmatched ones."""

    payments: int
    sessions: int
    settled: int
    unmatched: int


def record(unit: WriteUnit, session: Session, transfer: Transfer) -> bool:
    """Store a transfer to a session's address; return whether this changed anything.

    A transaction mined again after a reorg is the same payment in another block; recording it twice changes nothing. A
    transfer without a known transaction is identified by its block, and adds to the one already there.
    """
    transfer = unnamed.absorb_earlier(unit, "payments", session.asset.chain_id, session.id, transfer)
    changed = unit.run(
        """
        INSERT INTO payments (
            session_id, livemode, chain_id, tx_hash, log_index, kind, sender, contract, units, block_number,
            block_hash, block_time, canonical, recorded_at, provisional_balance, proof, agreeing
        )
        VALUES (
            :session_id, :livemode, :chain_id, :tx_hash, :log_index, :kind, :sender, :contract, :units, :block_number,
            :block_hash, :block_time, 1, :recorded_at, :provisional_balance, :proof, :agreeing
        )
        ON CONFLICT (chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1)) DO UPDATE
        SET block_number = excluded.block_number, block_hash = excluded.block_hash, block_time = excluded.block_time,
            sender = excluded.sender, units = excluded.units, canonical = 1,
            provisional_balance = excluded.provisional_balance, proof = excluded.proof, agreeing = excluded.agreeing
        WHERE payments.canonical = 0
        """,
        {
            "session_id": session.id,
            "livemode": int(session.livemode),
            "chain_id": session.asset.chain_id,
            "recorded_at": unit.now_text,
            **columns(transfer),
        },
    )
    return changed > 0


def columns(transfer: Transfer) -> dict[str, Value]:
    """Return the columns of a transfer, the same in this table and in that of unmatched payments."""
    return {
        "tx_hash": transfer.tx_hash,
        "log_index": transfer.log_index,
        "kind": transfer.kind,
        "sender": transfer.sender,
        "contract": transfer.contract,
        "units": str(transfer.units),
        "block_number": transfer.block_number,
        "block_hash": transfer.block_hash,
        "block_time": moments.to_text(transfer.block_time),
        "provisional_balance": None if transfer.provisional_balance is None else str(transfer.provisional_balance),
        "proof": transfer.proof,
        "agreeing": transfer.agreeing,
    }


def of_session(unit: ReadUnit, session: Session) -> list[Payment]:
    """Return the payments of a session in chain order, including those in orphaned blocks."""
    rows = unit.all(
        f"""
        SELECT {COLUMNS} FROM payments
        WHERE session_id = :session_id
        ORDER BY block_number, log_index, seq
        """,  # noqa: S608 - the names above
        {"session_id": session.id},
    )
    return _payments(rows, session.address)


def of_sessions(unit: ReadUnit, sessions: Sequence[Session]) -> dict[str, list[Payment]]:
    """Return the payments of up to a page of sessions, by session id, each as `of_session` does."""
    if not sessions:
        return {}
    names, parameters = placeholders(session.id for session in sessions)
    rows = unit.all(
        f"""
        SELECT session_id, {COLUMNS} FROM payments
        WHERE session_id IN ({names})
        ORDER BY session_id, block_number, log_index, seq
        """,  # noqa: S608 - the names above, and parameter names
        parameters,
    )
    of: dict[str, list[Sequence[Any]]] = {session.id: [] for session in sessions}
    for session_id, *row in rows:
        of[session_id].append(row)
    return {session.id: _payments(of[session.id], session.address) for session in sessions}


def recorded(unit: ReadUnit, session: Session) -> list[RecordedPayment]:
    """Return the payments of a session with their time of recording, oldest first, orphaned ones included."""
    rows = unit.all(
        f"SELECT {COLUMNS}, chain_id, recorded_at FROM payments WHERE session_id = :id ORDER BY seq",  # noqa: S608 - as above
        {"id": session.id},
    )
    return [recorded_payment(row, session.address, is_asked_for=True) for row in rows]


def sessions_of(unit: ReadUnit, chain_id: int, tx_or_block_hash: str) -> list[str]:
    """Return the ids of the sessions paid by a transaction, or by untraced transfers in a block."""
    rows = unit.all(
        """
        SELECT DISTINCT session_id FROM payments
        WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :hash
        """,
        {"chain_id": chain_id, "hash": tx_or_block_hash},
    )
    return [row["session_id"] for row in rows]


def has_any(unit: ReadUnit, session_id: str) -> bool:
    """Tell whether a session ever had a payment, even in a block that is orphaned by now."""
    return unit.one("SELECT 1 FROM payments WHERE session_id = :id LIMIT 1", {"id": session_id}) is not None


def orphan_above(unit: WriteUnit, chain_id: int, number: int) -> list[str]:
    """Mark the payments in blocks above a number as orphaned; return the ids of their sessions."""
    rows = unit.all(
        """
        UPDATE payments
        SET canonical = 0
        WHERE chain_id = :chain_id AND block_number > :number AND canonical = 1
        RETURNING session_id
        """,
        {"chain_id": chain_id, "number": number},
    )
    return sorted({row["session_id"] for row in rows})


def canonical_blocks(unit: ReadUnit, chain_id: int) -> dict[int, str]:
    """Return the hashes of the blocks in which a chain's payments are, unmatched ones included, by their numbers."""
    rows = unit.all(
        """
        SELECT block_number, block_hash FROM payments WHERE chain_id = :chain_id AND canonical = 1
        UNION
        SELECT block_number, block_hash FROM unmatched_payments WHERE chain_id = :chain_id AND canonical = 1
        """,
        {"chain_id": chain_id},
    )
    return {row["block_number"]: row["block_hash"] for row in rows}


def orphans(unit: ReadUnit, chain_id: int, above: int) -> Orphans:
    """Count the canonical payments in blocks above a number."""
    parameters = {"chain_id": chain_id, "number": above}
    row = unit.one(
        f"""
        SELECT COUNT(*) AS payments, COUNT(DISTINCT session_id) AS sessions,
            COUNT(DISTINCT CASE WHEN status IN ({_SETTLED}) THEN session_id END) AS settled
        FROM payments
        JOIN checkout_sessions ON checkout_sessions.id = payments.session_id
        WHERE payments.chain_id = :chain_id AND block_number > :number AND canonical = 1
        """,  # noqa: S608 - names of statuses
        parameters,
    )
    others = unit.one(
        """
        SELECT COUNT(*) AS found FROM unmatched_payments
        WHERE chain_id = :chain_id AND block_number > :number AND canonical = 1
        """,
        parameters,
    )
    assert row is not None, "COUNT always returns a row"
    assert others is not None, "COUNT always returns a row"
    return Orphans(row["payments"], row["sessions"], row["settled"], others["found"])


def count_pending(unit: ReadUnit, chain_id: int) -> int:
    """Return the number of pending sessions on a chain."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM checkout_sessions WHERE chain_id = :chain_id AND status = 'pending'",
        {"chain_id": chain_id},
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["found"])


def no_longer_deep(unit: ReadUnit, chain_id: int, number: int) -> list[str]:
    """Return the ids of sessions with payments that are no longer deep enough below this tip."""
    rows = unit.all(
        """
        SELECT DISTINCT payments.session_id
        FROM payments
        JOIN checkout_sessions ON checkout_sessions.id = payments.session_id
        WHERE payments.chain_id = :chain_id AND payments.block_number > :first AND canonical = 1
            AND payments.block_number > :number - checkout_sessions.required_confirmations
        """,
        {"chain_id": chain_id, "number": number, "first": number - KEPT_BLOCKS},
    )
    return sorted(row["session_id"] for row in rows)


def awaiting_depth(unit: ReadUnit, chain_id: int) -> list[tuple[Decimal, int]]:
    """Return, for each payment that still needs depth, its session's fiat price and the block that makes it deep."""
    rows = unit.all(
        """
        SELECT DISTINCT fiat_amount, block_number, required_confirmations
        FROM checkout_sessions
        JOIN payments ON payments.session_id = checkout_sessions.id
        WHERE checkout_sessions.chain_id = :chain_id AND awaits_depth = 1 AND canonical = 1
        """,
        {"chain_id": chain_id},
    )
    return [(Decimal(row[0]), deep_from(row[1], row[2])) for row in rows]


def read(row: Row, to: Address) -> Payment:
    """Return the payment in a row of this table, or of unmatched payments; `to` is the address of its session."""
    (payment,) = _payments([[row[name] for name in _NAMES]], to)
    return payment


def recorded_payment(row: Row, to: Address, *, is_asked_for: bool) -> RecordedPayment:
    """Return the payment in a row together with its chain and time of recording."""
    return RecordedPayment(
        read(row, to), row["chain_id"], moments.from_text(row["recorded_at"]), is_asked_for=is_asked_for
    )


def _payments(rows: Iterable[Row | Sequence[Any]], to: Address) -> list[Payment]:
    """Read rows of the columns above. Speed matters: dust can make them many."""
    times: dict[str, datetime] = {}
    found = []
    for (
        tx_hash, log_index, kind, sender, contract, units, number, block_hash, time, canonical, balance,
        proof, agreeing,
    ) in rows:  # fmt: skip
        if time not in times:
            times[time] = moments.from_text(time)
        transfer = Transfer(
            to, sender, int(units), _KINDS[kind], contract, tx_hash, log_index, number, block_hash, times[time],
            None if balance is None else int(balance), _PROOFS[proof], agreeing,
        )  # fmt: skip
        found.append(Payment(transfer, canonical=canonical == 1))
    return found

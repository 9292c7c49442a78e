"""Payments: every transfer to a session's address that was ever in a canonical block. Never deleted.

Whatever changes a payment sets `tallied = 0`, and its session is tallied in the same unit (`store.checkout.totals`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import SETTLED, Session
from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.ledger.assess import Received, Tip, deep_from, is_in_window
from crypto_checkout.core.ledger.payment import MOST_SHOWN, Payment, Proof, ShownPayments, Transfer, TransferKind
from crypto_checkout.store.database import ReadUnit, Row, Value, WriteUnit, batched, placeholders
from crypto_checkout.store.ledger import dust, tokens, unnamed
from crypto_checkout.store.ledger.cursors import KEPT_BLOCKS
from crypto_checkout.store.paging import ListPage, Window, select_rows

_NAMES = (
    "tx_hash", "log_index", "kind", "sender", "contract", "units", "block_number", "block_hash", "block_time",
    "canonical", "provisional_balance", "proof", "agreeing", "dust",
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
    if dust.has(unit, "payments", session.asset.chain_id, session.id, transfer):
        return False
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
        ON CONFLICT (
            chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1), (dust IS NULL)
        ) DO UPDATE
        SET block_number = excluded.block_number, block_hash = excluded.block_hash, block_time = excluded.block_time,
            sender = excluded.sender, units = excluded.units, canonical = 1, tallied = 0,
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
    if changed and transfer.kind is TransferKind.TOKEN and transfer.tx_hash is not None:
        tokens.replace_unnamed(unit, session.id, transfer)
    return changed > 0


def record_dust(unit: WriteUnit, session: Session, transfers: Sequence[Transfer]) -> bool:
    """Add transfers of one block to its dust (`store.ledger.dust`); return whether this changed anything."""
    owner: dict[str, Value] = {"session_id": session.id, "livemode": int(session.livemode)}
    return dust.add(unit, "payments", session.asset.chain_id, owner, transfers)


def columns_of(table: str) -> str:
    """Return the columns of a payment, qualified by a table."""
    return ", ".join(f"{table}.{name}" for name in _NAMES)


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


def received(unit: ReadUnit, session: Session, tip: Tip) -> Received:
    """Return the sums by which a session is judged: its own, less its payments that are not deep yet."""
    rows = _not_deep(unit, session, tip, "counted = 1")
    on_time = sum(units for units, time in rows if time <= session.terms.expires_at)
    provisional = [each for each in _provisional(unit, session) if is_in_window(each, session)]
    units = session.sums.counted_units
    return Received(
        units=units,
        deep_units=units - sum(units for units, _ in rows),
        deep_on_time_units=session.sums.on_time_units - on_time,
        awaits_depth=bool(rows),
        has_provisional=bool(provisional),
    )


def confirmed_units(unit: ReadUnit, session: Session, tip: Tip) -> int:
    """Return the sum of a session's payments in deep blocks, on time or late."""
    shallow = _not_deep(unit, session, tip, "tally IS NOT NULL")
    return session.sums.counted_units + session.sums.late_units - sum(units for units, _ in shallow)


def arrived_units(unit: ReadUnit, session: Session) -> int:
    """Return the sum of all payments of a session in canonical blocks, provisional ones too."""
    provisional = sum(each.transfer.units for each in _provisional(unit, session))
    return session.sums.counted_units + session.sums.late_units + provisional


def _provisional(unit: ReadUnit, session: Session) -> list[Payment]:
    rows = unit.all(
        f"""
        SELECT {COLUMNS} FROM payments
        WHERE chain_id = :chain_id AND session_id = :session_id AND provisional_balance IS NOT NULL AND canonical = 1
        """,  # noqa: S608 - the names above
        {"chain_id": session.asset.chain_id, "session_id": session.id},
    )
    return _payments(rows, session.address)


def _not_deep(unit: ReadUnit, session: Session, tip: Tip, condition: str) -> list[tuple[int, datetime]]:
    """Return the amounts and block times of a session's payments that aren't deep yet."""
    rows = unit.all(
        f"""
        SELECT units, block_time FROM payments
        WHERE session_id = :session_id AND block_number > :deep_to AND {condition}
        """,  # noqa: S608 - a condition of this module
        {"session_id": session.id, "deep_to": tip.deep_to(session.terms.required_confirmations)},
    )
    return [(int(units), moments.from_text(time)) for units, time in rows]


def shown(unit: ReadUnit, session: Session, tip: Tip | None) -> ShownPayments:
    """Return the payments that a session shows: the last recorded hundred, single ones before dust."""
    confirmed = 0 if tip is None or not session.sums.payment_count else confirmed_units(unit, session, tip)
    newest = _newest(unit, session.id, "AND canonical = 1")
    if len(newest) == MOST_SHOWN and any(row["dust"] is not None for row in newest):
        single = _newest(unit, session.id, "AND canonical = 1 AND dust IS NULL")
        newest = [*single, *(row for row in newest if row["dust"] is not None)][:MOST_SHOWN]
    newest.sort(key=lambda row: (row["block_number"], -1 if row["log_index"] is None else row["log_index"], row["seq"]))
    if not session.sums.counted_units:
        return ShownPayments(tuple(_payments(newest, session.address)), confirmed_units=confirmed)
    first, last = (
        unit.one(
            f"""
            SELECT tx_hash, block_number FROM payments
            WHERE session_id = :session_id AND counted = 1 AND dust IS NULL
            ORDER BY block_number {order}, log_index {order}
            LIMIT 1
            """,  # noqa: S608 - one of two orders
            {"session_id": session.id},
        )
        for order in ("ASC", "DESC")
    )
    return ShownPayments(
        tuple(_payments(newest, session.address)),
        tx_hash=None if first is None else first["tx_hash"],
        newest_block=None if last is None else last["block_number"],
        confirmed_units=confirmed,
    )


def _newest(unit: ReadUnit, session_id: str, condition: str) -> list[Row]:
    return unit.all(
        f"""
        SELECT {COLUMNS}, chain_id, recorded_at, seq FROM payments
        WHERE session_id = :session_id {condition}
        ORDER BY seq DESC
        LIMIT :most
        """,  # noqa: S608 - the names above, and a condition of this module
        {"session_id": session_id, "most": MOST_SHOWN},
    )


def listed(unit: ReadUnit, session: Session, window: Window) -> ListPage[Payment]:
    """Return a page of a session's payments in canonical blocks, last recorded first."""
    conditions, parameters = ["session_id = :session_id", "canonical = 1"], {"session_id": session.id}
    page = select_rows(unit, "payments", COLUMNS, conditions, parameters, window)
    return page.map(lambda row: read(row, session.address))


def recorded(unit: ReadUnit, session: Session) -> list[RecordedPayment]:
    """Return the last recorded payments of a session, oldest first: a hundred single ones and a hundred of any kind."""
    rows = _newest(unit, session.id, "") + _newest(unit, session.id, "AND canonical = 1 AND dust IS NULL")
    by_seq = {row["seq"]: row for row in rows}
    return [recorded_payment(by_seq[seq], session.address, is_asked_for=True) for seq in sorted(by_seq)]


def has_any(unit: ReadUnit, session_id: str) -> bool:
    """Tell whether a session ever had a payment, even in a block that is orphaned by now."""
    return unit.one("SELECT 1 FROM payments WHERE session_id = :id LIMIT 1", {"id": session_id}) is not None


def with_any(unit: ReadUnit, session_ids: Iterable[str]) -> set[str]:
    """Return those of some sessions that ever had a payment, as `has_any` tells of one."""
    found: set[str] = set()
    for part in batched(session_ids):
        names, among = placeholders(part)
        rows = unit.all(f"SELECT DISTINCT session_id FROM payments WHERE session_id IN ({names})", among)  # noqa: S608 - names of parameters
        found |= {row[0] for row in rows}
    return found


def orphaned(unit: ReadUnit, session: Session) -> list[Payment]:
    """Return the last recorded payments of a session that the chain took back, oldest first."""
    return _payments(reversed(_newest(unit, session.id, "AND canonical = 0")), session.address)


def orphan_above(unit: WriteUnit, chain_id: int, number: int) -> list[str]:
    """Mark the payments in blocks above a number as orphaned; return the ids of their sessions."""
    rows = unit.all(
        """
        UPDATE payments
        SET canonical = 0, tallied = 0
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
        JOIN chain_cursors ON chain_cursors.chain_id = checkout_sessions.chain_id
        JOIN payments ON payments.session_id = checkout_sessions.id
            AND payments.block_number > chain_cursors.number - checkout_sessions.required_confirmations
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
    """Read rows that begin with the columns above."""
    times: dict[str, datetime] = {}
    found = []
    for row in rows:
        (
            tx_hash, log_index, kind, sender, contract, units, number, block_hash, time, canonical, balance,
            proof, agreeing, many,
        ) = row[: len(_NAMES)]  # fmt: skip
        if time not in times:
            times[time] = moments.from_text(time)
        transfer = Transfer(
            to, sender, int(units), _KINDS[kind], contract, tx_hash, log_index, number, block_hash, times[time],
            None if balance is None else int(balance), _PROOFS[proof], agreeing,
        )  # fmt: skip
        found.append(Payment(transfer, canonical == 1, many))
    return found

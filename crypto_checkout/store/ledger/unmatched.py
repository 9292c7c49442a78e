"""Unmatched payments: transfers to a watched address that no session asked for. They never count.

Either the address has a session, which asks for another asset or on another chain, or it has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.ledger.payment import MOST_SHOWN, Payment, Transfer
from crypto_checkout.store.database import ReadUnit, Row, Value, WriteUnit
from crypto_checkout.store.ledger import dust, payments, unnamed
from crypto_checkout.store.paging import ListPage, Window, select_rows

_COLUMNS = f"""
    session_id, address, chain_id, recorded_at, {payments.COLUMNS}, (
        SELECT derivation_index
        FROM unassigned_addresses
        WHERE unassigned_addresses.address = unmatched_payments.address
    ) AS derivation_index, (
        SELECT address_path
        FROM unassigned_addresses
        WHERE unassigned_addresses.address = unmatched_payments.address
    ) AS address_path
"""  # noqa: S608 - the columns of a payment
SELECT = f"SELECT {_COLUMNS}, seq FROM unmatched_payments"  # noqa: S608 - as above
OPEN = """
    dust IS NULL AND NOT EXISTS (
        SELECT 1 FROM attention_dismissed WHERE cause = 'unmatched:' || CAST(unmatched_payments.seq AS TEXT)
    )
"""
"""The condition of those that are issues: no dust, and not dismissed."""


@dataclass(frozen=True, slots=True)
class UnmatchedPayment:
    """A payment that matches no session's terms, on `chain_id`.

    `session_id` is the session that has its address; None for an unassigned one, which has a `derivation_index` and,
    where that is known, a derivation `path`.
    """

    session_id: str | None
    derivation_index: int | None
    path: str | None
    chain_id: int
    payment: Payment


def record(unit: WriteUnit, session_id: str | None, livemode: bool, chain_id: int, transfer: Transfer) -> bool:
    """Store an unmatched transfer; return whether this changed anything.

    Transfers are identified and added up as in `payments.record`. `session_id` is None for an unassigned address.
    """
    if dust.has(unit, "unmatched_payments", chain_id, transfer.to, transfer):
        return False
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
        ON CONFLICT (
            chain_id, COALESCE(tx_hash, block_hash), address, kind, COALESCE(log_index, -1), COALESCE(contract, '')
        ) DO UPDATE
        SET block_number = excluded.block_number, block_hash = excluded.block_hash, block_time = excluded.block_time,
            sender = excluded.sender, units = excluded.units, canonical = 1,
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


def record_dust(
    unit: WriteUnit, session_id: str | None, livemode: bool, chain_id: int, transfers: Sequence[Transfer]
) -> bool:
    """Add transfers of one block and asset to an address to its dust; return whether this changed anything."""
    owner: dict[str, Value] = {"address": transfers[0].to, "session_id": session_id, "livemode": int(livemode)}
    return dust.add(unit, "unmatched_payments", chain_id, owner, transfers)


def newest(unit: ReadUnit, session_id: str, most: int) -> list[UnmatchedPayment]:
    """Return the newest unmatched payments of a session in canonical blocks, single ones before dust, oldest first."""
    rows = _newest(unit, "session_id", session_id, "AND canonical = 1", most)
    return [read(row) for row in rows]


def listed(
    unit: ReadUnit, livemode: bool, window: Window, *, session_id: str | None = None, is_open: bool = False
) -> ListPage[UnmatchedPayment]:
    """Return a page of unmatched payments in canonical blocks, last recorded first; of all sessions, or of one.

    With `is_open`, return those that are issues: no dust, and not dismissed.
    """
    conditions = ["livemode = :livemode", "canonical = 1"]
    parameters: dict[str, Value] = {"livemode": int(livemode)}
    if session_id is not None:
        # The plus keeps to the index by session.
        conditions = ["session_id = :session_id", "+livemode = :livemode", "+canonical = 1"]
        parameters["session_id"] = session_id
    if is_open:
        conditions.append(OPEN)
    return select_rows(unit, "unmatched_payments", _COLUMNS, conditions, parameters, window).map(read)


def has_any(unit: ReadUnit, session_id: str) -> bool:
    """Tell whether a session ever had an unmatched payment, even in a block that is orphaned by now."""
    return unit.one("SELECT 1 FROM unmatched_payments WHERE session_id = :id LIMIT 1", {"id": session_id}) is not None


def recorded(unit: ReadUnit, session_id: str) -> list[RecordedPayment]:
    """Return the newest unmatched payments of a session with their time of recording, oldest first."""
    return [_recorded(row) for row in _newest(unit, "session_id", session_id, "", MOST_SHOWN)]


def recorded_at(unit: ReadUnit, address: Address) -> list[RecordedPayment]:
    """Return the newest unmatched payments to an address with their time of recording, oldest first."""
    return [_recorded(row) for row in _newest(unit, "address", address, "", MOST_SHOWN)]


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


def _newest(
    unit: ReadUnit, receiver: Literal["session_id", "address"], value: str, condition: str, most: int
) -> list[Row]:
    """Return the newest rows of a receiver, oldest first; if there are more, single ones come before dust."""
    parameters: dict[str, Value] = {"receiver": value, "most": most}
    query = f"{SELECT} WHERE {receiver} = :receiver {condition}"
    rows = unit.all(f"{query} ORDER BY seq DESC LIMIT :most", parameters)
    if len(rows) == most and any(row["dust"] is not None for row in rows):
        single = unit.all(f"{query} AND dust IS NULL ORDER BY seq DESC LIMIT :most", parameters)
        rows = [*single, *(row for row in rows if row["dust"] is not None)][:most]
    return sorted(rows, key=lambda row: row["seq"])


def read(row: Row) -> UnmatchedPayment:
    """Return the unmatched payment of a row of `SELECT`."""
    payment = payments.read(row, Address(row["address"]))
    return UnmatchedPayment(row["session_id"], row["derivation_index"], row["address_path"], row["chain_id"], payment)


def _recorded(row: Row) -> RecordedPayment:
    return payments.recorded_payment(row, Address(row["address"]), is_asked_for=False)

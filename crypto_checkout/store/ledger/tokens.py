"""Token payments beside what the logs say: credits that only a balance shows, and logs that say too much.

An unnamed token credit is a payment in a token without a transaction, as `store.ledger.unnamed` has them for the coin.
It is provisional at first too, and replaced once the log is found after all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.ledger import unnamed
from crypto_checkout.store.ledger.unnamed import UnnamedCredit

_UNNAMED = "payment.kind = 'token' AND payment.tx_hash IS NULL AND payment.dust IS NULL"


@dataclass(frozen=True, slots=True)
class TokenSession:
    """A session in a token whose time, grace included, isn't over."""

    id: str
    address: Address
    contract: Address
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LoggedPayment:
    """A token payment from a log; `logged_units` is the amount in the log, `units` the one that is credited."""

    seq: int
    units: int
    logged_units: int
    block_number: int
    block_hash: str


def open_sessions(unit: ReadUnit, chain_id: int, livemode: bool, time: datetime) -> list[TokenSession]:
    """Return the sessions of a chain in a token whose grace period ends after a moment, oldest first."""
    rows = unit.all(
        """
        SELECT id, address, asset_contract, created_at FROM checkout_sessions
        WHERE livemode = :livemode AND grace_until > :time AND +chain_id = :chain_id
            AND +asset_contract IS NOT NULL AND asset_chosen = 1
        ORDER BY grace_until
        """,
        {"livemode": int(livemode), "time": moments.to_text(time), "chain_id": chain_id},
    )
    return [TokenSession(row[0], Address(row[1]), Address(row[2]), moments.from_text(row[3])) for row in rows]


def paid_after(unit: ReadUnit, chain_id: int, seq: int) -> tuple[int, set[str]]:
    """Return the newest place of a payment, and the sessions with token payments recorded after a place."""
    rows = unit.all("SELECT seq, session_id, kind, chain_id FROM payments WHERE seq > :seq ORDER BY seq", {"seq": seq})
    paid = {row["session_id"] for row in rows if row["kind"] == TransferKind.TOKEN and row["chain_id"] == chain_id}
    return (rows[-1]["seq"] if rows else seq), paid


def newest_payment(unit: ReadUnit) -> int:
    """Return the place of the newest payment; 0 without one."""
    row = unit.one("SELECT COALESCE(MAX(seq), 0) FROM payments")
    assert row is not None, "it has no conditions"
    return int(row[0])


def provisional(unit: ReadUnit, chain_id: int) -> list[UnnamedCredit]:
    """Return the provisional token credits of a chain, oldest first."""
    condition = "payment.provisional_balance IS NOT NULL AND payment.chain_id = :chain_id"
    return unnamed.select_payments(unit, f"{condition} AND {_UNNAMED}", {"chain_id": chain_id})


def credits(unit: ReadUnit, session_id: str) -> list[UnnamedCredit]:
    """Return all unnamed token credits of a session, oldest first."""
    return unnamed.select_payments(unit, f"payment.session_id = :id AND {_UNNAMED}", {"id": session_id})


def logged(unit: ReadUnit, session_id: str) -> list[LoggedPayment]:
    """Return a session's token payments that logs show, in canonical blocks, oldest first."""
    rows = unit.all(
        """
        SELECT seq, units, block_number, block_hash, logged_units FROM payments
        LEFT JOIN token_corrections ON payment_seq = seq
        WHERE session_id = :id AND kind = 'token' AND tx_hash IS NOT NULL AND canonical = 1
        ORDER BY block_number, log_index, seq
        """,
        {"id": session_id},
    )
    return [LoggedPayment(row[0], int(row[1]), int(row[4] or row[1]), row[2], row[3]) for row in rows]


def correct(unit: WriteUnit, payment: LoggedPayment, arrived_units: int) -> None:
    """Credit what arrived by a payment instead of what its log says."""
    unit.run(
        """
        INSERT INTO token_corrections (payment_seq, logged_units) VALUES (:seq, :logged_units)
        ON CONFLICT (payment_seq) DO UPDATE SET logged_units = excluded.logged_units
        """,
        {"seq": payment.seq, "logged_units": str(payment.logged_units)},
    )
    unit.run(
        "UPDATE payments SET units = :units, tallied = 0 WHERE seq = :seq",
        {"seq": payment.seq, "units": str(arrived_units)},
    )


def overstating(unit: ReadUnit, chain_id: int) -> set[Address]:
    """Return the tokens of a chain whose logs gave more than what arrived at least once."""
    rows = unit.all(
        """
        SELECT DISTINCT contract FROM token_corrections
        JOIN payments ON payments.seq = payment_seq
        WHERE chain_id = :chain_id AND contract IS NOT NULL
        """,
        {"chain_id": chain_id},
    )
    return {Address(row["contract"]) for row in rows}


def replace_unnamed(unit: WriteUnit, session_id: str, transfer: Transfer) -> None:
    """Let a payment that a log shows take the place of unnamed credits, in its block or later ones, up to its amount.

    Call it when the payment was recorded, in the same unit. A log that is recorded again has no correction yet.
    """
    unit.run(
        """
        DELETE FROM token_corrections WHERE payment_seq IN (
            SELECT seq FROM payments
            WHERE chain_id = (SELECT chain_id FROM checkout_sessions WHERE id = :id)
                AND COALESCE(tx_hash, block_hash) = :tx_hash AND session_id = :id AND kind = 'token'
                AND COALESCE(log_index, -1) = :log_index
        )
        """,
        {"id": session_id, "tx_hash": transfer.tx_hash, "log_index": transfer.log_index},
    )
    left = transfer.units
    for credit in credits(unit, session_id):
        if credit.block.number < transfer.block_number or not left:
            continue
        if credit.units <= left:
            unnamed.take_back(unit, credit)
            left -= credit.units
        else:
            unit.run(
                "UPDATE payments SET units = :units, tallied = 0 WHERE seq = :seq",
                {"seq": credit.seq, "units": str(credit.units - left)},
            )
            left = 0


def with_logged(unit: ReadUnit, session_id: str, recorded: Sequence[RecordedPayment]) -> list[RecordedPayment]:
    """Return a session's recorded payments with the amounts in their logs, where these were corrected."""
    rows = unit.all(
        # The corrections are few: a CROSS JOIN keeps to reading them first.
        """
        SELECT tx_hash, log_index, logged_units FROM token_corrections
        CROSS JOIN payments ON seq = payment_seq
        WHERE session_id = :id
        """,
        {"id": session_id},
    )
    figures: Mapping[tuple[str, int], int] = {(row[0], row[1]): int(row[2]) for row in rows}
    return [
        replace(
            each, logged_units=figures.get((each.payment.transfer.tx_hash or "", each.payment.transfer.log_index or 0))
        )
        for each in recorded
    ]

"""Payments with their sessions, read in parts for exports of any size."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.ledger.payment import Payment
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import ReadUnit, Row
from crypto_checkout.store.ledger import payments


@dataclass(frozen=True, slots=True)
class ExportedPayment:
    """A payment with its `seq` and its session."""

    seq: int
    session: Session
    payment: Payment


def last_seq(unit: ReadUnit, livemode: bool) -> int:
    """Return the `seq` of a mode's newest payment, 0 if there is none."""
    row = unit.one("SELECT MAX(seq) AS last FROM payments WHERE livemode = :livemode", {"livemode": int(livemode)})
    return int(row["last"] or 0) if row else 0


def part(
    unit: ReadUnit,
    livemode: bool,
    *,
    after: int,
    until: int,
    since: datetime | None,
    before: datetime | None,
    limit: int,
) -> list[ExportedPayment]:
    """Return payments of a mode in the order of their recording.

    Args:
        unit: the unit to read in.
        livemode: the mode.
        after: the `seq` of the last payment of the part before.
        until: the largest `seq` to return.
        since: the earliest block time, inclusive.
        before: the latest block time, exclusive.
        limit: the maximum number of payments.

    """
    bounds = {"since": moments.to_optional_text(since), "before": moments.to_optional_text(before)}
    conditions = {"since": "AND block_time >= :since", "before": "AND block_time < :before"}
    clauses = " ".join(conditions[name] for name, value in bounds.items() if value is not None)
    rows = unit.all(
        f"""
        SELECT seq, session_id, {payments.COLUMNS} FROM payments
        WHERE livemode = :livemode AND seq > :after AND seq <= :until {clauses}
        ORDER BY seq
        LIMIT :limit
        """,  # noqa: S608 - the conditions above
        {"livemode": int(livemode), "after": after, "until": until, "limit": limit, **bounds},
    )
    owners = sessions.by_ids(unit, {row["session_id"] for row in rows})
    return [_recorded(row, owners[row["session_id"]]) for row in rows]


def _recorded(row: Row, owner: Session) -> ExportedPayment:
    return ExportedPayment(row["seq"], owner, payments.read(row, owner.address))

"""Totals per day (UTC) of payments and of sessions created and paid, updated in the write that changes them.

A payment counts here exactly while it counts for its session (`core.ledger.assess.counts`). Its row records its
contribution, and updating a session adds the difference; so updating twice changes nothing, and the totals always equal
the sum of the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.session import SETTLED, Session
from crypto_checkout.core.ledger.assess import counts
from crypto_checkout.core.ledger.payment import Payment
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.ledger import payments
from crypto_checkout.store.table import INTEGER_AS_TEXT, Table

_DATE_LENGTH = len("2026-11-23")


@dataclass(frozen=True, slots=True)
class MoneyIn:
    """The payments of a day in one asset and currency; `fiat_minor` is in the currency's smallest unit."""

    day: date
    chain_id: int
    asset: str
    asset_decimals: int
    currency: str
    payments: int
    units: CoinUnits
    fiat_minor: int


_MONEY_IN = Table("daily_payments", MoneyIn, converters={"fiat_minor": INTEGER_AS_TEXT})


@dataclass(frozen=True, slots=True)
class SessionsPerDay:
    """The number of sessions created on a day, and of those that are paid by now."""

    day: date
    created: int
    paid: int


@dataclass(frozen=True, slots=True)
class _Contribution:
    """The part of a payment in the totals."""

    day: str
    units: int
    fiat_minor: int


def money_in(unit: ReadUnit, livemode: bool, first: date, last: date) -> list[MoneyIn]:
    """Return the payments of the days from `first` to `last`, oldest first."""
    return _MONEY_IN.all(
        unit,
        """
        WHERE livemode = :livemode AND day >= :first AND day <= :last AND payments > 0
        ORDER BY day, chain_id, asset, asset_decimals, currency
        """,
        {"livemode": int(livemode), "first": first.isoformat(), "last": last.isoformat()},
    )


def sessions_per_day(unit: ReadUnit, livemode: bool, first: date, last: date) -> list[SessionsPerDay]:
    """Return the sessions created on the days from `first` to `last`, oldest first."""
    rows = unit.all(
        """
        SELECT day, created, paid FROM daily_sessions
        WHERE livemode = :livemode AND day >= :first AND day <= :last
        ORDER BY day
        """,
        {"livemode": int(livemode), "first": first.isoformat(), "last": last.isoformat()},
    )
    return [SessionsPerDay(date.fromisoformat(row["day"]), row["created"], row["paid"]) for row in rows]


def count_sessions(unit: ReadUnit, livemode: bool) -> int:
    """Return the exact number of sessions of a mode, as fast for a million as for one."""
    row = unit.one(
        "SELECT SUM(created) AS created FROM daily_sessions WHERE livemode = :livemode", {"livemode": int(livemode)}
    )
    return int(row["created"] or 0) if row else 0


def count_new_session(unit: WriteUnit, session: Session) -> None:
    """Count a new session."""
    unit.run(
        """
        INSERT INTO daily_sessions (livemode, day, created, paid)
        VALUES (:livemode, :day, 1, 0)
        ON CONFLICT (livemode, day) DO UPDATE SET created = daily_sessions.created + 1
        """,
        {"livemode": int(session.livemode), "day": _day(session.created_at)},
    )
    bring_up_to_date(unit, session)


def bring_up_to_date(unit: WriteUnit, session: Session) -> None:
    """Update the totals after a change of a session or its payments; without a change, write nothing."""
    is_paid = session.status in SETTLED
    if unit.run(
        "UPDATE checkout_sessions SET counted_as_paid = :paid WHERE id = :id AND counted_as_paid <> :paid",
        {"id": session.id, "paid": int(is_paid)},
    ):
        unit.run(
            "UPDATE daily_sessions SET paid = paid + :change WHERE livemode = :livemode AND day = :day",
            {
                "livemode": int(session.livemode),
                "day": _day(session.created_at),
                "change": 1 if is_paid else -1,
            },
        )
    for row in _changed(unit, session):
        due = _due_contribution(session, payments.read(row, session.address))
        if row["counted"] is None or due != _recorded_contribution(row):
            _replace(unit, session, row, due)


def uncounted(unit: ReadUnit, limit: int) -> Sequence[str]:
    """Return the ids of sessions with payments from before there were totals."""
    rows = unit.all(
        "SELECT DISTINCT session_id FROM payments WHERE counted IS NULL ORDER BY session_id LIMIT :limit",
        {"limit": limit},
    )
    return [row["session_id"] for row in rows]


def _changed(unit: ReadUnit, session: Session) -> list[Row]:
    """Return the payments whose contribution may have changed: a few, even if dust has added thousands."""
    return unit.all(
        f"""
        SELECT seq, counted, counted_day, counted_units, counted_minor, {payments.COLUMNS} FROM payments
        WHERE session_id = :session_id AND (
            counted IS NULL
            OR counted <> CASE WHEN canonical = 1 AND (block_time <= :grace_until OR :is_accepted = 1) THEN 1 ELSE 0 END
            OR counted_units <> units
            OR counted_day <> SUBSTR(block_time, 1, 10)
        )
        """,  # noqa: S608 - the names of columns
        {
            "session_id": session.id,
            "grace_until": moments.to_text(session.terms.grace_until),
            "is_accepted": int(session.accepted_units is not None),
        },
    )


def _due_contribution(session: Session, payment: Payment) -> _Contribution | None:
    """Return the contribution that a payment should make; None while it doesn't count."""
    if not counts(payment, session):
        return None
    transfer = payment.transfer
    return _Contribution(_day(transfer.block_time), transfer.units, session.fiat_minor(transfer.units))


def _recorded_contribution(row: Row) -> _Contribution | None:
    if not row["counted"]:
        return None
    return _Contribution(row["counted_day"], int(row["counted_units"]), int(row["counted_minor"]))


def _replace(unit: WriteUnit, session: Session, row: Row, due: _Contribution | None) -> None:
    """Replace a payment's recorded contribution by the one that is due."""
    recorded = _recorded_contribution(row)
    if recorded is not None:
        _add_payment(unit, session, recorded, -1)
    if due is not None:
        _add_payment(unit, session, due, 1)
    unit.run(
        """
        UPDATE payments
        SET counted = :counted, counted_day = :day, counted_units = :units, counted_minor = :fiat_minor
        WHERE seq = :seq
        """,
        {
            "seq": row["seq"],
            "counted": int(due is not None),
            "day": due.day if due else None,
            "units": str(due.units) if due else None,
            "fiat_minor": str(due.fiat_minor) if due else None,
        },
    )


def _add_payment(unit: WriteUnit, session: Session, contribution: _Contribution, sign: int) -> None:
    """Add a payment to its day, or subtract it. The sums are texts, because coin amounts can exceed 64 bits."""
    key: dict[str, str | int | None] = {
        "livemode": int(session.livemode),
        "day": contribution.day,
        "chain_id": session.asset.chain_id,
        "asset": session.asset.symbol,
        "asset_decimals": session.asset.decimals,
        "currency": session.fiat.currency,
    }
    row = unit.one(
        """
        SELECT payments, units, fiat_minor FROM daily_payments
        WHERE livemode = :livemode AND day = :day AND chain_id = :chain_id AND asset = :asset
          AND asset_decimals = :asset_decimals AND currency = :currency
        """,
        key,
    )
    count, units, fiat_minor = (row["payments"], int(row["units"]), int(row["fiat_minor"])) if row else (0, 0, 0)
    unit.run(
        """
        INSERT INTO daily_payments (
            livemode, day, chain_id, asset, asset_decimals, currency, payments, units, fiat_minor
        )
        VALUES (:livemode, :day, :chain_id, :asset, :asset_decimals, :currency, :payments, :units, :fiat_minor)
        ON CONFLICT (livemode, day, chain_id, asset, asset_decimals, currency) DO UPDATE
        SET payments = excluded.payments, units = excluded.units, fiat_minor = excluded.fiat_minor
        """,
        {
            **key,
            "payments": count + sign,
            "units": str(units + sign * contribution.units),
            "fiat_minor": str(fiat_minor + sign * contribution.fiat_minor),
        },
    )


def _day(moment: datetime) -> str:
    """Return the day of a moment, in UTC."""
    return moments.to_text(moment)[:_DATE_LENGTH]

"""Sums of each session's payments, and totals per day (UTC) of payments and of sessions created and paid.

Both are updated in the write that changes a payment, and so are those of customers (`customer_totals`). The payment's
row records its contribution (`core.ledger.assess.tally`), and `tallied = 0` marks a row that has changed since; a tally
adds the difference. So tallying twice changes nothing, the sums always equal those of the rows, and its cost doesn't
depend on the number of payments. A payment is in the totals exactly while it counts for its session.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.session import SETTLED, PaymentSums, Session
from crypto_checkout.core.ledger import assess
from crypto_checkout.core.ledger.assess import COUNTED, Tally
from crypto_checkout.core.ledger.payment import Payment
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.checkout import customer_totals
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
_SUMS = Table("checkout_sessions", PaymentSums)
_STORE_SUMS = _SUMS.update("on_time_units", "grace_units", "late_units", "payment_count")


@dataclass(frozen=True, slots=True)
class SessionsPerDay:
    """The number of sessions created on a day, and of those that are paid by now."""

    day: date
    created: int
    paid: int


@dataclass(frozen=True, slots=True)
class _Contribution:
    """The part of a payment in the sums of its session, and while it counts, in the totals of a day."""

    tally: Tally
    day: str
    units: int
    fiat_minor: int

    @property
    def counts(self) -> bool:
        """True while it is in the totals."""
        return self.tally in COUNTED


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


def has_sessions(unit: ReadUnit, *, livemode: bool, paid: bool) -> bool:
    """Tell whether a mode has any session, or any that is paid."""
    row = unit.one(
        "SELECT 1 FROM daily_sessions WHERE livemode = :livemode AND (paid > 0 OR :paid = 0) LIMIT 1",
        {"livemode": int(livemode), "paid": int(paid)},
    )
    return row is not None


def count_new_session(unit: WriteUnit, session: Session) -> None:
    """Count a new session, which isn't paid yet."""
    unit.put_sum(
        """
        INSERT INTO daily_sessions (livemode, day, created, paid)
        VALUES (:livemode, :day, :number, 0)
        ON CONFLICT (livemode, day) DO UPDATE SET created = daily_sessions.created + :number
        """,
        {"livemode": int(session.livemode), "day": _day(session.created_at)},
        table="daily_sessions",
    )


def count_if_paid(unit: WriteUnit, session: Session) -> None:
    """Count a session as paid or not, after a change of its status; without a change, write nothing."""
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
        customer_totals.count_paid(unit, session, 1 if is_paid else -1)


def tally(unit: WriteUnit, session: Session) -> Session:
    """Bring the sums of a session and the totals up to date after its payments changed; return it with its sums.

    Only the changed payments are read, however many there are.
    """
    changed = unit.all(
        f"""
        SELECT seq, tally, counted_day, counted_units, counted_minor, {payments.COLUMNS} FROM payments
        WHERE session_id = :session_id AND tallied = 0
        """,  # noqa: S608 - the names of columns
        {"session_id": session.id},
    )
    if not changed:
        return session
    sums = _sums(unit, session.id)
    for row in changed:
        due = _due_contribution(session, payments.read(row, session.address))
        recorded = _recorded_contribution(row)
        sums = _add(_add(sums, recorded, -1), due, 1)
        if due != recorded:
            _replace(unit, session, row["seq"], recorded, due)
    unit.run("UPDATE payments SET tallied = 1 WHERE session_id = :id AND tallied = 0", {"id": session.id})
    tallied = replace(session, sums=sums)
    unit.run(_STORE_SUMS, {**_SUMS.values(sums), "id": session.id})
    return tallied


def note_other_window(unit: WriteUnit, session: Session) -> None:
    """Mark the payments as changed that are in another sum since the session's window has changed."""
    unit.run(
        """
        UPDATE payments SET tallied = 0
        WHERE session_id = :session_id AND tally <> CASE
            WHEN block_time <= :expires_at THEN 'on_time'
            WHEN block_time <= :grace_until OR :is_accepted = 1 THEN 'grace'
            ELSE 'late'
        END
        """,
        {
            "session_id": session.id,
            "expires_at": moments.to_text(session.terms.expires_at),
            "grace_until": moments.to_text(session.terms.grace_until),
            "is_accepted": int(session.accepted_units is not None),
        },
    )


def untallied(unit: ReadUnit, limit: int) -> Sequence[str]:
    """Return the ids of sessions with changed payments, as after an upgrade from before there were totals."""
    rows = unit.all(
        "SELECT DISTINCT session_id FROM payments WHERE tallied = 0 ORDER BY session_id LIMIT :limit", {"limit": limit}
    )
    return [row["session_id"] for row in rows]


def _sums(unit: ReadUnit, session_id: str) -> PaymentSums:
    found = _SUMS.one(unit, "WHERE id = :id", {"id": session_id})
    assert found is not None, "sessions are never deleted"
    return found


def _add(sums: PaymentSums, contribution: _Contribution | None, sign: int) -> PaymentSums:
    """Return a session's sums with the contribution of a payment added, or taken away."""
    if contribution is None:
        return sums
    units = {each: sign * contribution.units if each is contribution.tally else 0 for each in Tally}
    return PaymentSums(
        on_time_units=sums.on_time_units + units[Tally.ON_TIME],
        grace_units=sums.grace_units + units[Tally.GRACE],
        late_units=sums.late_units + units[Tally.LATE],
        payment_count=sums.payment_count + sign,
    )


def _due_contribution(session: Session, payment: Payment) -> _Contribution | None:
    """Return the contribution that a payment should make; None for one that is in no sum."""
    found = assess.tally(payment, session)
    if found is None:
        return None
    transfer = payment.transfer
    return _Contribution(found, _day(transfer.block_time), transfer.units, session.fiat_minor(transfer.units))


def _recorded_contribution(row: Row) -> _Contribution | None:
    if row["tally"] is None:
        return None
    minor = int(row["counted_minor"] or 0)  # not known of payments that were late before sums were kept
    return _Contribution(Tally(row["tally"]), row["counted_day"], int(row["counted_units"]), minor)


def _replace(
    unit: WriteUnit, session: Session, seq: int, recorded: _Contribution | None, due: _Contribution | None
) -> None:
    """Replace a payment's recorded contribution by the one that is due."""
    if recorded is not None and recorded.counts:
        _add_payment(unit, session, recorded, -1)
    if due is not None and due.counts:
        _add_payment(unit, session, due, 1)
    unit.run(
        """
        UPDATE payments
        SET tally = :tally, counted = :counted, counted_day = :day, counted_units = :units, counted_minor = :fiat_minor
        WHERE seq = :seq
        """,
        {
            "seq": seq,
            "tally": due.tally if due else None,
            "counted": int(due is not None and due.counts),
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
    customer_totals.add_received(unit, session, sign * contribution.fiat_minor)


def _day(moment: datetime) -> str:
    """Return the day of a moment, in UTC."""
    return moments.to_text(moment)[:_DATE_LENGTH]

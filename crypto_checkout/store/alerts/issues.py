"""Issues that the tables show. Each query uses an index that holds only such rows."""

from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.core.money import minor_units, parse_fiat
from crypto_checkout.store.checkout import sessions, unassigned
from crypto_checkout.store.checkout.sessions import SessionFilter
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.ledger import payments
from crypto_checkout.store.ledger import unmatched as unmatched_payments


@dataclass(frozen=True, slots=True)
class UncountedPayment:
    """A payment that doesn't count: late, or unmatched; `seq` is that of its row, `owner` has its address."""

    seq: int
    owner: Session | UnassignedAddress
    chain_id: int
    transfer: Transfer


def in_status(unit: ReadUnit, livemode: bool, status: Status, limit: int) -> list[Session]:
    """Return the newest sessions in a status, without dismissed ones."""
    rows = _in_status(unit, "id", livemode, status, limit)
    found = sessions.by_ids(unit, [row["id"] for row in rows])
    return [found[row["id"]] for row in rows]


@dataclass(frozen=True, slots=True)
class SessionMoney:
    """The price of a session, and the worth of what counts for it, in the smallest unit of its currency."""

    currency: str
    price_minor: int
    received_minor: int


def money_in_status(unit: ReadUnit, livemode: bool, status: Status, limit: int) -> list[SessionMoney]:
    """Return the money of the sessions that `in_status` lists, by few columns: there may be many."""
    columns = "fiat_amount, fiat_currency, amount_units, on_time_units, grace_units"
    return [_money(row) for row in _in_status(unit, columns, livemode, status, limit)]


def _in_status(unit: ReadUnit, columns: str, livemode: bool, status: Status, limit: int) -> list[Row]:
    conditions, parameters = sessions.where(livemode, SessionFilter(issue=status))
    return unit.all(
        f"""
        SELECT {columns} FROM checkout_sessions
        WHERE {" AND ".join(conditions)}
        ORDER BY seq DESC
        LIMIT :limit
        """,  # noqa: S608 - columns and conditions of the store
        {**parameters, "limit": limit},
    )


def _money(row: Row) -> SessionMoney:
    currency, amount = row["fiat_currency"], int(row["amount_units"])
    price = minor_units(parse_fiat(row["fiat_amount"], currency))
    came = int(row["on_time_units"]) + int(row["grace_units"])
    # As Session.fiat_minor, without the rest of its row.
    return SessionMoney(currency, price, (2 * price * came + amount) // (2 * amount))


def late(unit: ReadUnit, livemode: bool, limit: int) -> list[UncountedPayment]:
    """Return the last late payment of each session, newest first, without dust and without accepted and dismissed ones.

    Dismissing it dismisses the late payments before it.
    """
    rows = unit.all(
        f"""
        SELECT payments.seq, session_id, payments.chain_id, {payments.columns_of("payments")}
        FROM checkout_sessions
        JOIN payments ON payments.seq = (
            SELECT MAX(last.seq) FROM payments AS last
            WHERE last.session_id = checkout_sessions.id AND last.tally = 'late' AND last.dust IS NULL
        )
        WHERE checkout_sessions.livemode = :livemode AND late_told_at IS NOT NULL
          AND NOT EXISTS (
            SELECT 1 FROM attention_dismissed WHERE cause = 'late_payment:' || CAST(payments.seq AS TEXT)
          )
        ORDER BY late_told_at DESC
        LIMIT :limit
        """,  # noqa: S608 - the columns of a payment
        {"livemode": int(livemode), "limit": limit},
    )
    owners = sessions.by_ids(unit, {row["session_id"] for row in rows})
    return [_payment(row, owners[row["session_id"]]) for row in rows]


def unmatched(unit: ReadUnit, livemode: bool, limit: int) -> list[UncountedPayment]:
    """Return the newest unmatched payments, without dust and dismissed ones."""
    rows = unit.all(
        f"""
        SELECT seq, address, chain_id, {payments.COLUMNS} FROM unmatched_payments
        WHERE livemode = :livemode AND canonical = 1 AND {unmatched_payments.OPEN}
        ORDER BY seq DESC
        LIMIT :limit
        """,  # noqa: S608 - the columns of a payment, and a condition of the store
        {"livemode": int(livemode), "limit": limit},
    )
    addresses = {Address(row["address"]) for row in rows}
    owners: dict[Address, Session | UnassignedAddress] = {**sessions.at_addresses(unit, addresses)}
    owners |= unassigned.at_addresses(unit, addresses - owners.keys())
    return [_payment(row, owners[Address(row["address"])]) for row in rows]


def last_failure(unit: ReadUnit, endpoint_id: str) -> str | None:
    """Return the error of the last attempt at an endpoint's newest failed delivery; None if no attempt is kept."""
    row = unit.one(
        """
        SELECT COALESCE(
            (SELECT MAX(seq) FROM deliveries WHERE endpoint_id = :endpoint_id AND status = 'pending' AND attempts > 0),
            (SELECT MAX(seq) FROM deliveries WHERE endpoint_id = :endpoint_id AND status = 'abandoned')
        ) AS seq
        """,
        {"endpoint_id": endpoint_id},
    )
    attempt = unit.one(
        """
        SELECT detail FROM delivery_attempts
        WHERE delivery_seq = :seq
        ORDER BY number DESC
        LIMIT 1
        """,
        {"seq": row["seq"] if row else None},
    )
    return attempt["detail"] if attempt else None


def is_dismissed(unit: ReadUnit, cause: str) -> bool:
    """Tell whether the issue with this cause was dismissed."""
    return unit.one("SELECT 1 AS found FROM attention_dismissed WHERE cause = :cause", {"cause": cause}) is not None


def dismiss(unit: WriteUnit, cause: str) -> None:
    """Dismiss the issue with this cause for good. Repeating is safe."""
    unit.run(
        """
        INSERT INTO attention_dismissed (cause, dismissed_at)
        VALUES (:cause, :now)
        ON CONFLICT (cause) DO NOTHING
        """,
        {"cause": cause, "now": unit.now_text},
    )


def _payment(row: Row, owner: Session | UnassignedAddress) -> UncountedPayment:
    return UncountedPayment(row["seq"], owner, row["chain_id"], payments.read(row, owner.address).transfer)

"""Checkout sessions, and what the watcher asks of them."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.customer import email_key
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.checkout.session import Session, Status, Terms
from crypto_checkout.core.ledger.assess import Assessment
from crypto_checkout.core.money import Fiat
from crypto_checkout.store.checkout import choices, search_terms, totals
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.paging import LAST_SEQ, ListPage, Window, begins_after, ends_before, select

MOST_TO_EXPIRE = 2000
_TABLE = "checkout_sessions"
_MOST_PARAMETERS = 500

_COLUMNS = (
    "id", "livemode", "link_id", "status", "status_reason", "wallet_id", "derivation_index", "address", "chain_id",
    "asset", "asset_decimals", "asset_contract", "amount_units", "minimum_units", "maximum_units", "fiat_amount",
    "fiat_currency", "rate_base", "rate_quote", "rate_value", "rate_sources", "rate_observed_at", "eth_price_usd",
    "required_confirmations", "success_url", "cancel_url", "return_url", "customer_email", "customer_email_key",
    "metadata", "expires_at", "grace_until", "paid_at", "accepted_units", "closed_at", "created_at", "updated_at",
    "assets", "asset_chosen",
)  # fmt: skip

_SETTLED_COLUMNS = (
    "id", "status", "status_reason", "paid_at", "accepted_units", "closed_at", "expires_at", "grace_until",
    "updated_at",
)  # fmt: skip

_CHOSEN_COLUMNS = (
    "chain_id", "asset", "asset_decimals", "asset_contract", "amount_units", "minimum_units", "maximum_units",
    "rate_base", "rate_quote", "rate_value", "rate_sources", "rate_observed_at", "eth_price_usd",
    "required_confirmations", "asset_chosen", "updated_at",
)  # fmt: skip

_CHOOSE = (
    f"UPDATE checkout_sessions SET {', '.join(f'{each} = :{each}' for each in _CHOSEN_COLUMNS)} "  # noqa: S608 - as above
    "WHERE id = :id"
)

_INSERT = (
    f"INSERT INTO checkout_sessions ({', '.join(_COLUMNS)}) "  # noqa: S608 - the names above
    f"VALUES ({', '.join(':' + column for column in _COLUMNS)}) RETURNING seq"
)


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions of a mode are wanted; None means any."""

    status: Status | None = None
    link_id: str | None = None
    customer_email: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedAddress:
    """An address that was given out for a session; `seq` is its place in the order of all."""

    seq: int
    session_id: str
    address: Address


def insert(unit: WriteUnit, session: Session) -> None:
    """Store a new session."""
    row = unit.one(_INSERT, _row(session))
    assert row is not None, "RETURNING gives the row"
    totals.count_made(unit, session)
    search_terms.record(unit, session, row["seq"])


def get(unit: ReadUnit, session_id: str, livemode: bool | None = None) -> Session | None:
    """Return a session, of one mode or of either."""
    row = unit.one("SELECT * FROM checkout_sessions WHERE id = :id", {"id": session_id})
    if row is None or (livemode is not None and bool(row["livemode"]) is not livemode):
        return None
    return read(row)


def listed(unit: ReadUnit, livemode: bool, wanted: SessionFilter, window: Window) -> ListPage[Session]:
    """Return a page of sessions."""
    conditions, parameters = where(livemode, wanted)
    first, last = bounds(unit, livemode, wanted)
    return select(unit, _TABLE, conditions, parameters, window, first=first, last=last).map(read)


def where(livemode: bool, wanted: SessionFilter) -> tuple[list[str], dict[str, str | int | None]]:
    """Return a filter as conditions and their parameters."""
    conditions = {
        "livemode = :livemode": int(livemode),
        "status = :status": wanted.status,
        "link_id = :link_id": wanted.link_id,
        "customer_email_key = :email": email_key(wanted.customer_email) if wanted.customer_email else None,
        "created_at > :created_after": moments.to_optional_text(wanted.created_after),
        "created_at < :created_before": moments.to_optional_text(wanted.created_before),
    }
    given = {condition: value for condition, value in conditions.items() if value is not None}
    return list(given), {condition.rpartition(":")[2]: value for condition, value in given.items()}


def bounds(unit: ReadUnit, livemode: bool, wanted: SessionFilter) -> tuple[int, int]:
    """Return between which `seq` all lie that a filter by time means."""
    after, before = wanted.created_after, wanted.created_before
    first = begins_after(unit, _TABLE, livemode, after) if after else 0
    return first, ends_before(unit, _TABLE, livemode, before) if before else LAST_SEQ


def at_addresses(unit: ReadUnit, addresses: Collection[Address]) -> dict[Address, Session]:
    """Return the sessions that own any of these addresses, whatever their chain."""
    return {session.address: session for session in _among(unit, "address", addresses)}


def by_ids(unit: ReadUnit, ids: Collection[str]) -> dict[str, Session]:
    """Return sessions by their ids, of either mode."""
    return {session.id: session for session in _among(unit, "id", ids)}


def given_out(
    unit: ReadUnit, livemode: bool, after: int, limit: int, ending_after: datetime | None = None
) -> list[IssuedAddress]:
    """Return the addresses that a mode ever gave out, the oldest first, after a place in that order (0: from all).

    With `ending_after`, only those of sessions whose time, grace included, ends after it.
    """
    rows = unit.all(
        """
        SELECT seq, id, address
        FROM checkout_sessions
        WHERE livemode = :livemode AND seq > :after AND +grace_until > :ending_after
        ORDER BY seq
        LIMIT :limit
        """,
        {
            "livemode": int(livemode),
            "after": after,
            "limit": limit,
            "ending_after": moments.to_optional_text(ending_after) or "",
        },
    )
    return [IssuedAddress(row["seq"], row["id"], Address(row["address"])) for row in rows]


def count(unit: ReadUnit, livemode: bool) -> int:
    """Return how many sessions a mode has."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM checkout_sessions WHERE livemode = :livemode", {"livemode": int(livemode)}
    )
    assert row is not None, "a count is always answered"
    return int(row["found"])


def tokens(unit: ReadUnit, chain_id: int) -> list[Asset]:
    """Return the tokens that sessions of a chain were ever made in, as they were then."""
    rows = unit.all(
        """
        SELECT asset_contract, MAX(seq) AS newest FROM checkout_sessions
        WHERE chain_id = :chain_id AND asset_contract IS NOT NULL
        GROUP BY asset_contract
        """,
        {"chain_id": chain_id},
    )
    newest = [unit.one("SELECT * FROM checkout_sessions WHERE seq = :seq", {"seq": row["newest"]}) for row in rows]
    return [_asset(row) for row in newest if row is not None]


def to_judge(unit: ReadUnit, chain_id: int, tip_time: datetime) -> list[str]:
    """Return the ids of the sessions whose verdict a block of this time can change without a new payment.

    Of those that are to expire only the oldest, `MOST_TO_EXPIRE` at a time: after an outage that may be many, and the
    others go on waiting for the next block.
    """
    rows = unit.all(
        """
        SELECT id FROM checkout_sessions
        WHERE chain_id = :chain_id AND awaits_depth = 1
        UNION ALL
        SELECT id FROM (
            SELECT id FROM checkout_sessions
            WHERE chain_id = :chain_id AND awaits_depth = 0 AND status = 'pending' AND expires_at < :time
            ORDER BY expires_at
            LIMIT :most
        ) AS over
        """,
        {"chain_id": chain_id, "time": moments.to_text(tip_time), "most": MOST_TO_EXPIRE},
    )
    return [row["id"] for row in rows]


def store_verdict(unit: WriteUnit, session: Session, verdict: Assessment) -> None:
    """Store what a session was judged to be; `session` carries the new status, its reason and the times."""
    unit.run(
        """
        UPDATE checkout_sessions
        SET status = :status, status_reason = :status_reason, paid_at = :paid_at, updated_at = :updated_at,
            awaits_depth = :awaits_depth
        WHERE id = :id
        """,
        {
            "id": session.id,
            "status": session.status,
            "status_reason": session.status_reason,
            "paid_at": moments.to_optional_text(session.paid_at),
            "updated_at": moments.to_text(session.updated_at),
            "awaits_depth": int(verdict.awaits_depth),
        },
    )
    totals.bring_up_to_date(unit, session)


def settle(unit: WriteUnit, session: Session) -> None:
    """Store what the merchant decided about a session: its status, what was accepted, and when its time ended."""
    unit.run(
        """
        UPDATE checkout_sessions
        SET status = :status, status_reason = :status_reason, paid_at = :paid_at, accepted_units = :accepted_units,
            closed_at = :closed_at, expires_at = :expires_at, grace_until = :grace_until, updated_at = :updated_at
        WHERE id = :id
        """,
        {name: value for name, value in _row(session).items() if name in _SETTLED_COLUMNS},
    )
    totals.bring_up_to_date(unit, session)


def choose(unit: WriteUnit, session: Session) -> None:
    """Store what was chosen for a session: its asset, and the terms and the rate that go with it."""
    row = _row(session)
    unit.run(_CHOOSE, {name: row[name] for name in ("id", *_CHOSEN_COLUMNS)})


def touch(unit: WriteUnit, session_id: str) -> None:
    """Note that what a session shows has changed: its payments, if not its status. Money settles what it is paid in."""
    unit.run(
        "UPDATE checkout_sessions SET updated_at = :now, asset_chosen = 1 WHERE id = :id",
        {"id": session_id, "now": unit.now_text},
    )


def _among(unit: ReadUnit, column: str, values: Collection[str]) -> Iterator[Session]:
    """Yield the sessions whose unique column has any of these values."""
    wanted = sorted(values)
    for start in range(0, len(wanted), _MOST_PARAMETERS):
        names = {f"v{place}": value for place, value in enumerate(wanted[start : start + _MOST_PARAMETERS])}
        rows = unit.all(
            "SELECT * FROM checkout_sessions "  # noqa: S608 - a name of this room, and parameter names
            f"WHERE {column} IN ({', '.join(':' + name for name in names)})",
            names,
        )
        yield from map(read, rows)


def _row(session: Session) -> dict[str, str | int | None]:
    terms, asset = session.terms, session.asset
    return {
        "id": session.id,
        "livemode": int(session.livemode),
        "link_id": session.link_id,
        "status": session.status,
        "status_reason": session.status_reason,
        "wallet_id": session.wallet_id,
        "derivation_index": session.derivation_index,
        "address": session.address,
        "chain_id": asset.chain_id,
        "asset": asset.symbol,
        "asset_decimals": asset.decimals,
        "asset_contract": asset.contract,
        "amount_units": str(terms.amount_units),
        "minimum_units": str(terms.minimum_units),
        "maximum_units": str(terms.maximum_units),
        "fiat_amount": str(session.fiat.amount),
        "fiat_currency": session.fiat.currency,
        **_rate_row(session.rate),
        "eth_price_usd": session.eth_price_usd,
        "required_confirmations": terms.required_confirmations,
        "success_url": session.success_url,
        "cancel_url": session.cancel_url,
        "return_url": session.return_url,
        "customer_email": session.customer_email,
        "customer_email_key": None if session.customer_email is None else email_key(session.customer_email),
        "metadata": None if session.metadata is None else json.dumps(dict(session.metadata), ensure_ascii=False),
        "expires_at": moments.to_text(terms.expires_at),
        "grace_until": moments.to_text(terms.grace_until),
        "paid_at": moments.to_optional_text(session.paid_at),
        "accepted_units": None if session.accepted_units is None else str(session.accepted_units),
        "closed_at": moments.to_optional_text(session.closed_at),
        "created_at": moments.to_text(session.created_at),
        "updated_at": moments.to_text(session.updated_at),
        "assets": choices.to_text(session.assets),
        "asset_chosen": int(session.is_chosen),
    }


def _rate_row(rate: Rate) -> dict[str, str | int | None]:
    return {
        "rate_base": rate.base,
        "rate_quote": rate.quote,
        "rate_value": str(rate.value),
        "rate_sources": json.dumps(rate.sources),
        "rate_observed_at": moments.to_text(rate.observed_at),
    }


def read(row: Row) -> Session:
    """Return the session that a row of this table holds."""
    return Session(
        id=row["id"],
        livemode=bool(row["livemode"]),
        link_id=row["link_id"],
        status=Status(row["status"]),
        status_reason=row["status_reason"],
        wallet_id=row["wallet_id"],
        derivation_index=row["derivation_index"],
        address=Address(row["address"]),
        asset=_asset(row),
        fiat=Fiat(Decimal(row["fiat_amount"]), row["fiat_currency"]),
        rate=_rate(row),
        eth_price_usd=row["eth_price_usd"],
        terms=_terms(row),
        success_url=row["success_url"],
        cancel_url=row["cancel_url"],
        return_url=row["return_url"],
        customer_email=row["customer_email"],
        created_at=moments.from_text(row["created_at"]),
        updated_at=moments.from_text(row["updated_at"]),
        metadata=None if row["metadata"] is None else json.loads(row["metadata"]),
        paid_at=moments.from_optional_text(row["paid_at"]),
        accepted_units=None if row["accepted_units"] is None else int(row["accepted_units"]),
        closed_at=moments.from_optional_text(row["closed_at"]),
        assets=choices.from_text(row["assets"]),
        is_chosen=bool(row["asset_chosen"]),
    )


def _asset(row: Row) -> Asset:
    contract = row["asset_contract"]
    return Asset(row["chain_id"], row["asset"], row["asset_decimals"], None if contract is None else Address(contract))


def _terms(row: Row) -> Terms:
    return Terms(
        amount_units=int(row["amount_units"]),
        minimum_units=int(row["minimum_units"]),
        maximum_units=int(row["maximum_units"]),
        expires_at=moments.from_text(row["expires_at"]),
        grace_until=moments.from_text(row["grace_until"]),
        required_confirmations=row["required_confirmations"],
    )


def _rate(row: Row) -> Rate:
    return Rate(
        base=row["rate_base"],
        quote=row["rate_quote"],
        value=Decimal(row["rate_value"]),
        sources=tuple(json.loads(row["rate_sources"])),
        observed_at=moments.from_text(row["rate_observed_at"]),
    )

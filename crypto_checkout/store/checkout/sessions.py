"""Checkout sessions, for the API and for the watcher."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.customer import email_key
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.ledger.assess import Assessment
from crypto_checkout.store.checkout import choices, questions, search_terms, totals
from crypto_checkout.store.database import Parameters, ReadUnit, Value, WriteUnit, batched, placeholders
from crypto_checkout.store.paging import LAST_SEQ, ListPage, Window, begins_after, ends_before, present, select_rows
from crypto_checkout.store.table import Table

MOST_TO_EXPIRE = 2000
LATE_EVERY = timedelta(hours=1)
"""The time between two events that tell of late payments of one session."""

_MOST_RECENT = 1000

_MOST_KEPT_CHARACTERS = 4000

_SESSIONS = Table(
    "checkout_sessions",
    Session,
    flat=("terms", "options", "sums", "refunds"),
    unstored=("asset.usd_pegged",),
    names={"asset.chain_id": "chain_id", "asset.symbol": "asset", "is_chosen": "asset_chosen"},
    converters={
        "assets": choices.COLUMN,
        "options.payer_fields": questions.PAYER_FIELDS,
        "options.custom_fields": questions.CUSTOM_FIELDS,
    },
    computed={"customer_email_key": lambda session: _email_key(session.options.customer_email)},
)
_BY_ID = f"SELECT {_SESSIONS.as_text} FROM checkout_sessions WHERE id = :id"  # noqa: S608 - names of this room
_FIND = f"""
    SELECT {_SESSIONS.as_text},
        EXISTS (SELECT 1 FROM payments WHERE session_id = checkout_sessions.id),
        EXISTS (SELECT 1 FROM unmatched_payments WHERE session_id = checkout_sessions.id)
    FROM checkout_sessions WHERE id = :id
    """  # noqa: S608 - as above
_STORE_VERDICT = _SESSIONS.update("status", "status_reason", "paid_at", "receipt_number", "updated_at", "awaits_depth")
_STORE_DECISION = _SESSIONS.update(
    "status", "status_reason", "paid_at", "receipt_number", "accepted_units", "closed_at", "expires_at", "grace_until",
    "updated_at",
)  # fmt: skip
_CHOOSE = _SESSIONS.update(
    "chain_id", "asset", "asset_decimals", "asset_contract", "amount_units", "minimum_units", "maximum_units",
    "rate_base", "rate_quote", "rate_value", "rate_sources", "rate_observed_at", "eth_price_usd",
    "required_confirmations", "asset_chosen", "updated_at",
)  # fmt: skip

_ANSWER = _SESSIONS.update(
    "customer_email", "customer_email_key", "customer_name", "customer_note", "metadata", "answered_at", "answer_key",
    "updated_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """A filter of sessions; None matches any.

    `issue` is a kind of issue about sessions that isn't dismissed: the status that causes it, or `late_payment`.
    """

    status: Status | None = None
    link_id: str | None = None
    customer_email: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    issue: str | None = None


class FoundSession(NamedTuple):
    """A session, and whether it ever had payments, and unmatched ones, even in blocks that are orphaned by now."""

    session: Session
    has_payments: bool
    has_unmatched: bool


def insert(unit: WriteUnit, session: Session) -> None:
    """Store a new session."""
    _SESSIONS.put(unit, session)
    search_terms.record(unit, session, search_terms.of(session))
    totals.count_new_session(unit, session)


def get(unit: ReadUnit, session_id: str, livemode: bool | None = None) -> Session | None:
    """Return a session, of one mode or of either."""
    row = unit.one(_BY_ID, {"id": session_id})
    session = None if row is None else _read(row[0])
    return None if session is None or livemode not in {None, session.livemode} else session


def find(unit: ReadUnit, session_id: str, livemode: bool | None = None) -> FoundSession | None:
    """Return a session as `get` does, and what came for it: one statement takes half the time of three."""
    row = unit.one(_FIND, {"id": session_id})
    if row is None:
        return None
    found = FoundSession(_read(row[0]), bool(row[1]), bool(row[2]))
    return None if livemode not in {None, found.session.livemode} else found


def listed(unit: ReadUnit, livemode: bool, filters: SessionFilter, window: Window) -> ListPage[Session]:
    """Return a page of sessions."""
    conditions, parameters = where(livemode, filters)
    return page(unit, livemode, filters, window, conditions, parameters)


def page(
    unit: ReadUnit,
    livemode: bool,
    filters: SessionFilter,
    window: Window,
    conditions: Sequence[str],
    parameters: Parameters,
) -> ListPage[Session]:
    """Return a page of the sessions that meet SQL conditions, which include those of the filter (`where`)."""
    first, last = bounds(unit, livemode, filters)
    names = (_SESSIONS.name, _SESSIONS.as_text)
    rows = select_rows(unit, *names, conditions, parameters, window, first=first, last=last)
    return rows.map(lambda row: _read(row[0]))


def _read(text: str) -> Session:
    """Read a row; one that is the same is the same session, and takes a tenth of the time."""
    return _read_small(text) if len(text) <= _MOST_KEPT_CHARACTERS else _SESSIONS.read_text(text)


_read_small = lru_cache(maxsize=2_000)(_SESSIONS.read_text)


def where(livemode: bool, filters: SessionFilter) -> tuple[list[str], dict[str, Value]]:
    """Return a filter as SQL conditions and their parameters."""
    conditions: Parameters = {
        "livemode = :livemode": int(livemode),
        "status = :status": filters.status,
        "link_id = :link_id": filters.link_id,
        "customer_email_key = :email": _email_key(filters.customer_email or None),
        "created_at > :created_after": moments.to_optional_text(filters.created_after),
        "created_at < :created_before": moments.to_optional_text(filters.created_before),
    }
    found, parameters = present(conditions)
    if filters.issue is None:
        return found, parameters
    if filters.issue == "late_payment":
        return [*found, *_LATE], parameters
    return [*found, *_IN_TROUBLE], {**parameters, "issue": filters.issue}


# The same sessions as those of `store.alerts.issues.late`, which reads their payments too.
_LATE = (
    "late_told_at IS NOT NULL",
    """NOT EXISTS (
        SELECT 1 FROM attention_dismissed WHERE cause = (
            SELECT 'late_payment:' || CAST(MAX(last.seq) AS TEXT) FROM payments AS last
            WHERE last.session_id = checkout_sessions.id AND last.tally = 'late' AND last.dust IS NULL
        )
    )""",
)
_IN_TROUBLE = (
    "status = :issue",
    "NOT EXISTS (SELECT 1 FROM attention_dismissed WHERE cause = :issue || ':' || checkout_sessions.id)",
)


def bounds(unit: ReadUnit, livemode: bool, filters: SessionFilter) -> tuple[int, int]:
    """Return bounds for the `seq` of all sessions that a filter's times allow."""
    after, before = filters.created_after, filters.created_before
    first = begins_after(unit, _SESSIONS.name, livemode, after) if after else 0
    return first, ends_before(unit, _SESSIONS.name, livemode, before) if before else LAST_SEQ


def at_addresses(unit: ReadUnit, addresses: Collection[Address]) -> dict[Address, Session]:
    """Return the sessions that own these addresses, on any chain."""
    return {session.address: session for session in _among(unit, "address", addresses)}


def by_ids(unit: ReadUnit, ids: Collection[str]) -> dict[str, Session]:
    """Return sessions by their ids, of either mode."""
    return {session.id: session for session in _among(unit, "id", ids)}


def count(unit: ReadUnit, livemode: bool) -> int:
    """Return the number of sessions of a mode."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM checkout_sessions WHERE livemode = :livemode", {"livemode": int(livemode)}
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["found"])


def tokens(unit: ReadUnit, chain_id: int) -> list[Asset]:
    """Return all tokens that sessions on a chain have used, each as its newest session has it."""
    rows = unit.all(
        """
        SELECT asset_contract, MAX(seq) AS newest FROM checkout_sessions
        WHERE chain_id = :chain_id AND asset_contract IS NOT NULL
        GROUP BY asset_contract
        """,
        {"chain_id": chain_id},
    )
    newest = [_SESSIONS.one(unit, "WHERE seq = :seq", {"seq": row["newest"]}) for row in rows]
    return [session.asset for session in newest if session is not None]


def newest_in(unit: ReadUnit, chain_id: int, contract: Address | None) -> Session | None:
    """Return the newest session that asks for a token, or for the coin of a chain; None if none ever did."""
    which = "asset_contract IS NULL" if contract is None else "asset_contract = :contract"
    clauses = f"WHERE chain_id = :chain_id AND {which} ORDER BY seq DESC LIMIT 1"
    return _SESSIONS.one(unit, clauses, {"chain_id": chain_id, "contract": contract})


def last_rates(unit: ReadUnit, since: datetime) -> list[Rate]:
    """Return the last rate of each pair among the live sessions made since a moment, the newest thousand of them."""
    found = listed(unit, True, SessionFilter(created_after=since), Window(_MOST_RECENT)).items
    return [*{(each.rate.base, each.rate.quote): each.rate for each in reversed(found)}.values()]


def to_judge(unit: ReadUnit, chain_id: int, expiry_time: datetime) -> list[str]:
    """Return the ids of the sessions whose status a tip with this expiry time can change without a new payment.

    At most `MOST_TO_EXPIRE` expiring sessions are returned, oldest first: after an outage there may be many, and the
    others wait for the next block.
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
        {"chain_id": chain_id, "time": moments.to_text(expiry_time), "most": MOST_TO_EXPIRE},
    )
    return [row["id"] for row in rows]


def is_any_open(unit: ReadUnit, chain_id: int, livemode: bool) -> bool:
    """Tell whether a payment on a chain is awaited: of an open session, or one in its grace period, or for depth."""
    row = unit.one(
        """
        SELECT 1 FROM checkout_sessions
        WHERE livemode = :livemode AND grace_until > :now
            AND status IN ('pending', 'detected', 'underpaid', 'expired')
            AND (chain_id = :chain_id OR assets IS NOT NULL)
        UNION ALL
        SELECT 1 FROM checkout_sessions WHERE chain_id = :chain_id AND status = 'pending'
        UNION ALL
        SELECT 1 FROM checkout_sessions WHERE chain_id = :chain_id AND awaits_depth = 1
        LIMIT 1
        """,
        {"livemode": int(livemode), "chain_id": chain_id, "now": moments.to_text(unit.now)},
    )
    return row is not None


def store_verdict(unit: WriteUnit, session: Session, verdict: Assessment) -> None:
    """Store the verdict about a session; `session` has the new status, reason and times."""
    unit.run(_STORE_VERDICT, {**_SESSIONS.values(session), "awaits_depth": int(verdict.awaits_depth)})
    totals.count_if_paid(unit, session)


def store_decision(unit: WriteUnit, session: Session) -> Session:
    """Store the merchant's decision about a session: its status, the accepted amount, and the end of its time.

    Return it with the sums that its payments have now.
    """
    unit.run(_STORE_DECISION, _SESSIONS.values(session))
    totals.count_if_paid(unit, session)
    totals.note_other_window(unit, session)
    return totals.tally(unit, session)


def note_language(unit: WriteUnit, session_id: str, code: str) -> None:
    """Store the language of the payer's page; without a change, write nothing."""
    unit.run(
        "UPDATE checkout_sessions SET payer_language = :code WHERE id = :id AND payer_language IS NOT :code",
        {"id": session_id, "code": code},
    )


def note_late(unit: WriteUnit, session_id: str, tip_time: datetime) -> bool:
    """Note that late payments came, and return whether an event may tell of them now: one an hour may, by block times.

    Otherwise they wait, and `late_untold` returns their session once the hour is over.
    """
    row = unit.one("SELECT late_told_at FROM checkout_sessions WHERE id = :id", {"id": session_id})
    told_at = None if row is None else moments.from_optional_text(row["late_told_at"])
    may_tell = told_at is None or abs(tip_time - told_at) >= LATE_EVERY
    unit.run(
        """
        UPDATE checkout_sessions
        SET late_untold = :untold, late_told_at = CASE WHEN :untold = 1 THEN late_told_at ELSE :time END
        WHERE id = :id
        """,
        {"id": session_id, "untold": int(not may_tell), "time": moments.to_text(tip_time)},
    )
    return may_tell


def late_untold(unit: ReadUnit, chain_id: int, tip_time: datetime) -> list[str]:
    """Return the ids of sessions with late payments that waited for the end of the hour, and may be announced now."""
    rows = unit.all(
        """
        SELECT id FROM checkout_sessions
        WHERE chain_id = :chain_id AND late_untold = 1
            AND (late_told_at <= :before OR late_told_at >= :after)
        """,
        {
            "chain_id": chain_id,
            "before": moments.to_text(tip_time - LATE_EVERY),
            "after": moments.to_text(tip_time + LATE_EVERY),
        },
    )
    return [row["id"] for row in rows]


def choose(unit: WriteUnit, session: Session) -> None:
    """Store the asset chosen for a session, with its terms and rate."""
    unit.run(_CHOOSE, _SESSIONS.values(session))


def answer(unit: WriteUnit, before: Session, session: Session) -> None:
    """Store a payer's answers, with which the session can be found; `before` is the session as it was."""
    unit.run(_ANSWER, _SESSIONS.values(session))
    row = unit.one("SELECT seq FROM checkout_sessions WHERE id = :id", {"id": session.id})
    assert row is not None, "sessions are never deleted"
    search_terms.replace(unit, before, session, row["seq"])


def touch(unit: WriteUnit, session_id: str) -> None:
    """Mark a session as updated because its payments changed. A payment also settles the choice of its asset."""
    unit.run(
        "UPDATE checkout_sessions SET updated_at = :now, asset_chosen = 1 WHERE id = :id",
        {"id": session_id, "now": unit.now_text},
    )


def _among(unit: ReadUnit, column: str, values: Collection[str]) -> Iterator[Session]:
    """Yield the sessions with any of these values in a column."""
    for part in batched(values):
        names, parameters = placeholders(part)
        yield from _SESSIONS.all(unit, f"WHERE {column} IN ({names})", parameters)


def _email_key(email: str | None) -> str | None:
    return None if email is None else email_key(email)

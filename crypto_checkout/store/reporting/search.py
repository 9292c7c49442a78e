"""Search for sessions by id, address, transaction, payment link, receipt, email, or value of the metadata."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from crypto_checkout.core import ids
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.store.checkout import search_terms, sessions
from crypto_checkout.store.checkout.sessions import SessionFilter
from crypto_checkout.store.database import Parameters, ReadUnit, placeholders
from crypto_checkout.store.paging import ListPage, Window

MOST_COUNTED = 10_000
"""The number up to which matches are counted: beyond it a narrower filter helps more than a number."""

_MOST_OF_A_TRANSACTION = 200

_MOST_GATHERED = 1000
"""The number of metadata entries up to which a value is looked up first and filtered afterwards."""

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_HASH = re.compile(r"0x[0-9a-f]{64}")
_RECEIPT = re.compile(r"(t?)([0-9]{4})-([0-9]{6,12})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Count:
    """A number of sessions; a lower bound if `is_exact` is False."""

    number: int
    is_exact: bool


def find(unit: ReadUnit, livemode: bool, text: str, filters: SessionFilter, window: Window) -> ListPage[Session]:
    """Return a page of the sessions that match both a search text and a filter."""
    conditions, parameters = _where(unit, livemode, text, filters, is_forward=window.before is not None)
    return sessions.page(unit, livemode, filters, window, conditions, parameters)


def count(unit: ReadUnit, livemode: bool, text: str, filters: SessionFilter) -> Count:
    """Count the sessions that match both a search text and a filter."""
    conditions, parameters = _where(unit, livemode, text, filters)
    low, high = sessions.bounds(unit, livemode, filters)
    clause = " AND ".join([*conditions, "seq >= :low", "seq <= :high"])
    row = unit.one(
        f"""
        SELECT COUNT(*) AS number
        FROM (SELECT 1 FROM checkout_sessions WHERE {clause} LIMIT :limit) AS found
        """,  # noqa: S608 - conditions of this room only
        {**parameters, "low": low, "high": high, "limit": MOST_COUNTED + 1},
    )
    number = int(row["number"]) if row else 0
    return Count(min(number, MOST_COUNTED), number <= MOST_COUNTED)


def _where(
    unit: ReadUnit, livemode: bool, text: str, filters: SessionFilter, *, is_forward: bool = False
) -> tuple[list[str], Parameters]:
    """Return a search text as SQL conditions. Its form decides its meaning; by default it searches the metadata."""
    text = text.strip()
    lower = text.lower()
    if lower.startswith(f"{ids.SESSION}_"):
        return _among(livemode, filters, "id", [ids.SESSION + text[len(ids.SESSION) :].upper()])
    if _ADDRESS.fullmatch(lower):
        return _among(livemode, filters, "address", [lower])
    among = _of_transaction(unit, lower) if _HASH.fullmatch(lower) else _of_receipt(unit, livemode, lower)
    if among is not None:
        return _among(livemode, filters, "id", among)
    if ids.is_id(text, ids.LINK):
        return sessions.where(livemode, replace(filters, link_id=text))
    if "@" in text and sessions.listed(unit, livemode, SessionFilter(customer_email=text), Window(1)).items:
        return sessions.where(livemode, replace(filters, customer_email=text))
    return _by_metadata(unit, livemode, text, filters, is_forward=is_forward)


def _among(livemode: bool, filters: SessionFilter, column: str, values: Sequence[str]) -> tuple[list[str], Parameters]:
    conditions, parameters = sessions.where(livemode, filters)
    names, among = placeholders(values or [""])
    return [*conditions, f"{column} IN ({names})"], {**parameters, **among}


def _of_transaction(unit: ReadUnit, tx_hash: str) -> Sequence[str]:
    """Return the ids of the sessions that a transaction paid, matched or not, in either mode."""
    rows = unit.all(
        """
        SELECT session_id FROM payments WHERE tx_hash = :tx_hash
        UNION
        SELECT session_id FROM unmatched_payments WHERE tx_hash = :tx_hash AND session_id IS NOT NULL
        LIMIT :limit
        """,
        {"tx_hash": tx_hash, "limit": _MOST_OF_A_TRANSACTION},
    )
    return [row["session_id"] for row in rows]


def _of_receipt(unit: ReadUnit, livemode: bool, text: str) -> Sequence[str] | None:
    """Return the session whose receipt has this number; None without one, or where the metadata has the text."""
    found = _RECEIPT.fullmatch(text)
    if found is None or (not found[1]) != livemode or _is_value(unit, livemode, search_terms.fold(text)):
        return None
    row = unit.one(
        "SELECT session_id FROM receipts WHERE livemode = :livemode AND year = :year AND number = :number",
        {"livemode": int(livemode), "year": int(found[2]), "number": int(found[3])},
    )
    return None if row is None else [row["session_id"]]


def _by_metadata(
    unit: ReadUnit, livemode: bool, text: str, filters: SessionFilter, *, is_forward: bool
) -> tuple[list[str], Parameters]:
    """Read a text as a value or as `name=value`; if the whole text is a stored value, it is a value. Empty matches all.

    A value may occur in a million sessions. Without a filter, only as many matches are read as are requested. With one,
    the matches of a rare value are read and then filtered; for a frequent value the filter goes first, and each session
    that passes is looked up among the matches until there are enough.
    """
    conditions, parameters = sessions.where(livemode, filters)
    if not text:
        return conditions, parameters
    name, sign, value = text.partition("=")
    is_named = bool(sign) and not _is_value(unit, livemode, search_terms.fold(text))
    term = search_terms.fold(value.strip() if is_named else text)
    parameters = {**parameters, "term": term, "name": name.strip()}
    entry = ["livemode = :livemode", "value = :term"]
    if is_named:
        entry.append("name = :name")
    if filters != SessionFilter() and _is_frequent(unit, livemode, term):
        entry.append("session_seq = checkout_sessions.seq")
        return [*conditions, f"EXISTS (SELECT 1 FROM session_metadata WHERE {' AND '.join(entry)})"], parameters  # noqa: S608
    entry += ["session_seq >= :low", "session_seq <= :high"]
    # The subquery already restricts the mode. Repeating it here would make SQLite start from an index by time.
    conditions.remove("livemode = :livemode")
    end = f"ORDER BY session_seq {'ASC' if is_forward else 'DESC'} LIMIT :limit" if filters == SessionFilter() else ""
    among = f"SELECT DISTINCT session_seq FROM session_metadata WHERE {' AND '.join(entry)} {end}"  # noqa: S608
    return [*conditions, f"seq IN ({among})"], parameters


def _is_frequent(unit: ReadUnit, livemode: bool, value: str) -> bool:
    """Tell whether a value has more than `_MOST_GATHERED` entries, under any name."""
    row = unit.one(
        """
        SELECT 1
        FROM session_metadata
        WHERE livemode = :livemode AND value = :value
        LIMIT 1 OFFSET :most
        """,
        {"livemode": int(livemode), "value": value, "most": _MOST_GATHERED},
    )
    return row is not None


def _is_value(unit: ReadUnit, livemode: bool, value: str) -> bool:
    row = unit.one(
        "SELECT 1 FROM session_metadata WHERE livemode = :livemode AND value = :value LIMIT 1",
        {"livemode": int(livemode), "value": value},
    )
    return row is not None

"""Find sessions by what a person has in hand: an id, an address, a transaction, an email, a value of the metadata."""

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
"""How far matches are counted: beyond it, a person wants another filter, not a number."""

_MOST_OF_A_TRANSACTION = 200

_MOST_GATHERED = 1000
"""Up to how many entries of a value are gathered, to be filtered then."""

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_HASH = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; where `is_exact` is False, at least so many."""

    number: int
    is_exact: bool


def find(unit: ReadUnit, livemode: bool, text: str, wanted: SessionFilter, window: Window) -> ListPage[Session]:
    """Return a page of the sessions that a text means, of those that are wanted."""
    conditions, parameters = _where(unit, livemode, text, wanted, is_forward=window.before is not None)
    return sessions.page(unit, livemode, wanted, window, conditions, parameters)


def count(unit: ReadUnit, livemode: bool, text: str, wanted: SessionFilter) -> Count:
    """Return how many sessions a text means, of those that are wanted."""
    conditions, parameters = _where(unit, livemode, text, wanted)
    low, high = sessions.bounds(unit, livemode, wanted)
    clause = " AND ".join([*conditions, "seq >= :low", "seq <= :high"])
    row = unit.one(
        f"""
        SELECT COUNT(*) AS number
        FROM (SELECT 1 FROM checkout_sessions WHERE {clause} LIMIT :limit) AS some
        """,  # noqa: S608 - conditions of this room only
        {**parameters, "low": low, "high": high, "limit": MOST_COUNTED + 1},
    )
    number = int(row["number"]) if row else 0
    return Count(min(number, MOST_COUNTED), number <= MOST_COUNTED)


def _where(
    unit: ReadUnit, livemode: bool, text: str, wanted: SessionFilter, *, is_forward: bool = False
) -> tuple[list[str], Parameters]:
    """Return what a text means as conditions: what it looks like decides, and where that is nothing, the metadata."""
    text = text.strip()
    lower = text.lower()
    if lower.startswith(f"{ids.SESSION}_"):
        return _among(livemode, wanted, "id", [ids.SESSION + text[len(ids.SESSION) :].upper()])
    if _ADDRESS.fullmatch(lower):
        return _among(livemode, wanted, "address", [lower])
    if _HASH.fullmatch(lower):
        return _among(livemode, wanted, "id", _of_transaction(unit, lower))
    if ids.is_id(text, ids.LINK):
        return sessions.where(livemode, replace(wanted, link_id=text))
    if "@" in text and sessions.listed(unit, livemode, SessionFilter(customer_email=text), Window(1)).items:
        return sessions.where(livemode, replace(wanted, customer_email=text))
    return (
        _by_metadata(unit, livemode, text, wanted, is_forward=is_forward) if text else sessions.where(livemode, wanted)
    )


def _among(livemode: bool, wanted: SessionFilter, column: str, values: Sequence[str]) -> tuple[list[str], Parameters]:
    conditions, parameters = sessions.where(livemode, wanted)
    names, among = placeholders(values or [""])
    return [*conditions, f"{column} IN ({names})"], {**parameters, **among}


def _of_transaction(unit: ReadUnit, tx_hash: str) -> Sequence[str]:
    """Return the sessions that a transaction paid to, asked for or not, in either mode."""
    rows = unit.all(
        """
        SELECT session_id FROM payments WHERE tx_hash = :tx_hash
        UNION
        SELECT session_id FROM unmatched_payments WHERE tx_hash = :tx_hash
        LIMIT :limit
        """,
        {"tx_hash": tx_hash, "limit": _MOST_OF_A_TRANSACTION},
    )
    return [row["session_id"] for row in rows]


def _by_metadata(
    unit: ReadUnit, livemode: bool, text: str, wanted: SessionFilter, *, is_forward: bool
) -> tuple[list[str], Parameters]:
    """Take a text for a value, or `name=value`; a value with a `=` in it goes first.

    A value can stand in a million sessions. Without a filter only as many matches are gathered as are asked for. With
    one, a rare value's matches are gathered and filtered; for a frequent one the filter goes first, and each session it
    lets through is looked up among the matches, until there are enough.
    """
    conditions, parameters = sessions.where(livemode, wanted)
    name, sign, value = text.partition("=")
    is_named = bool(sign) and not _is_value(unit, livemode, search_terms.fold(text))
    term = search_terms.fold(value.strip() if is_named else text)
    parameters = {**parameters, "term": term, "name": name.strip()}
    asked = ["livemode = :livemode", "value = :term"]
    if is_named:
        asked.append("name = :name")
    if wanted != SessionFilter() and _is_frequent(unit, livemode, term):
        asked.append("session_seq = checkout_sessions.seq")
        return [*conditions, f"EXISTS (SELECT 1 FROM session_metadata WHERE {' AND '.join(asked)})"], parameters  # noqa: S608
    asked += ["session_seq >= :low", "session_seq <= :high"]
    # The matches are of this mode already. Said again, it would have SQLite begin with an index of the mode's times.
    conditions.remove("livemode = :livemode")
    end = f"ORDER BY session_seq {'ASC' if is_forward else 'DESC'} LIMIT :limit" if wanted == SessionFilter() else ""
    among = f"SELECT DISTINCT session_seq FROM session_metadata WHERE {' AND '.join(asked)} {end}"  # noqa: S608
    return [*conditions, f"seq IN ({among})"], parameters


def _is_frequent(unit: ReadUnit, livemode: bool, value: str) -> bool:
    """Tell whether a value stands in more entries than are gathered, under whatever name."""
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

"""Refunds, and their sums on the rows of their sessions, which every change of a refund updates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import RefundSums, Session
from crypto_checkout.core.refunds.refund import Refund, RefundStatus
from crypto_checkout.store.database import ReadUnit, Row, Value, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, present, select
from crypto_checkout.store.table import Table

_REFUNDS = Table(
    "refunds",
    Refund,
    unstored=("asset.usd_pegged",),
    names={"asset.chain_id": "chain_id", "asset.symbol": "asset"},
)
_UPDATE = _REFUNDS.update_all_but("livemode", "session_id", "created_at")
_SUMS = Table("checkout_sessions", RefundSums)
_STORE_SUMS = _SUMS.update("refunded_units", "promised_units")


@dataclass(frozen=True, slots=True)
class RefundFilter:
    """A filter of refunds; None matches any."""

    status: RefundStatus | None = None
    session_id: str | None = None


def insert(unit: WriteUnit, session: Session, refund: Refund) -> None:
    """Store a new refund of a session."""
    unit.run(_REFUNDS.insert, _REFUNDS.values(refund))
    _sum_up(unit, session)


def update(unit: WriteUnit, session: Session, refund: Refund) -> None:
    """Store a changed refund of a session."""
    unit.run(_UPDATE, _REFUNDS.values(refund))
    _sum_up(unit, session)


def get(unit: ReadUnit, refund_id: str, livemode: bool | None = None) -> Refund | None:
    """Return a refund, of one mode or of either."""
    refund = _REFUNDS.one(unit, "WHERE id = :id", {"id": refund_id})
    return None if refund is None or livemode not in {None, refund.livemode} else refund


def listed(unit: ReadUnit, livemode: bool, filters: RefundFilter, window: Window) -> ListPage[Refund]:
    """Return a page of refunds."""
    conditions, parameters = present(
        {
            "livemode = :livemode": int(livemode),
            "status = :status": filters.status,
            "session_id = :session_id": filters.session_id,
        }
    )
    if filters.session_id is not None:
        # The plus keeps to the index by session.
        conditions = [each if each.startswith("session_id") else f"+{each}" for each in conditions]
    return select(unit, _REFUNDS, conditions, parameters, window)


def of_session(unit: ReadUnit, session_id: str) -> list[Refund]:
    """Return the refunds of a session, oldest first."""
    return _REFUNDS.all(unit, "WHERE session_id = :session_id ORDER BY seq", {"session_id": session_id})


def with_status(unit: ReadUnit, livemode: bool, status: RefundStatus, most: int) -> list[Refund]:
    """Return refunds of a mode with a status, oldest first."""
    return _REFUNDS.all(
        unit,
        "WHERE livemode = :livemode AND status = :status ORDER BY seq LIMIT :most",
        {"livemode": int(livemode), "status": status, "most": most},
    )


def count(unit: ReadUnit, livemode: bool, status: RefundStatus) -> int:
    """Return the number of refunds of a mode with a status."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM refunds WHERE livemode = :livemode AND status = :status",
        {"livemode": int(livemode), "status": status},
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["found"])


def promised_units(unit: ReadUnit, session_id: str, asset: Asset) -> int:
    """Return the sum of a session's refunds of an asset, all but the canceled ones."""
    rows = unit.all(
        """
        SELECT units FROM refunds
        WHERE session_id = :session_id AND chain_id = :chain_id AND COALESCE(asset_contract, '') = :contract
            AND status <> 'canceled'
        """,
        {"session_id": session_id, "chain_id": asset.chain_id, "contract": asset.contract or ""},
    )
    return sum(int(row["units"]) for row in rows)


def on_chain(unit: ReadUnit, chain_id: int, statuses: Sequence[RefundStatus]) -> list[Refund]:
    """Return the refunds on a chain with any of these statuses, oldest first."""
    names = ", ".join(f"'{status}'" for status in statuses)
    return _REFUNDS.all(
        unit, f"WHERE chain_id = :chain_id AND status IN ({names}) ORDER BY seq", {"chain_id": chain_id}
    )


def paid_above(unit: ReadUnit, chain_id: int, number: int) -> list[Refund]:
    """Return the refunds that were paid, or seen to be, in blocks of a chain above a number."""
    clauses = (
        "WHERE chain_id = :chain_id AND status IN ('seen', 'paid') AND payment_block_number > :number ORDER BY seq"
    )
    return _REFUNDS.all(unit, clauses, {"chain_id": chain_id, "number": number})


def paid_between(unit: ReadUnit, livemode: bool, first: date, last: date) -> list[Refund]:
    """Return the refunds paid on the days from `first` to `last` (UTC), oldest first."""
    return _REFUNDS.all(
        unit,
        """
        WHERE livemode = :livemode AND paid_at >= :first AND paid_at < :after
        ORDER BY paid_at
        """,
        {
            "livemode": int(livemode),
            "first": first.isoformat(),
            "after": (last + timedelta(days=1)).isoformat(),
        },
    )


def last_seq(unit: ReadUnit, livemode: bool) -> int:
    """Return the `seq` of a mode's newest refund, 0 if there is none."""
    row = unit.one("SELECT MAX(seq) AS last FROM refunds WHERE livemode = :livemode", {"livemode": int(livemode)})
    return int(row["last"] or 0) if row else 0


def paid_part(
    unit: ReadUnit,
    livemode: bool,
    between: tuple[int, int],
    period: tuple[datetime | None, datetime | None],
    limit: int,
) -> list[tuple[int, Refund]]:
    """Return paid refunds of a mode with their `seq`, in the order in which they were made.

    Those beyond the first `seq` of `between` up to the second, paid from the period's beginning on and before its end.
    """
    since, before = (moments.to_optional_text(each) for each in period)
    rows = unit.all(
        f"""
        SELECT {_REFUNDS.listed}, seq FROM refunds
        WHERE livemode = :livemode AND seq > :after AND seq <= :until AND status = 'paid'
            AND paid_at >= :since AND paid_at < :before
        ORDER BY seq
        LIMIT :limit
        """,  # noqa: S608 - the columns of the record
        {
            "livemode": int(livemode),
            "after": between[0],
            "until": between[1],
            "since": since or "",
            "before": before or "~",
            "limit": limit,
        },
    )
    return [(row["seq"], _REFUNDS.read(row)) for row in rows]


def taken(unit: ReadUnit, chain_id: int, tx_hash: str) -> set[tuple[int | None, Address]]:
    """Return the transfers of a transaction that pay refunds, each as its log's index and its receiver."""
    rows = unit.all(
        """
        SELECT payment_log_index, destination FROM refunds
        WHERE chain_id = :chain_id AND tx_hash = :tx_hash AND payment_block_number IS NOT NULL
        """,
        {"chain_id": chain_id, "tx_hash": tx_hash},
    )
    return {(row["payment_log_index"], Address(row["destination"])) for row in rows}


def searched_to(unit: ReadUnit, chain_id: int) -> int | None:
    """Return the last block up to which a chain was searched for payments without a hash; None before the first."""
    row = unit.one("SELECT number FROM refund_searches WHERE chain_id = :chain_id", {"chain_id": chain_id})
    return None if row is None else int(row["number"])


def set_searched_to(unit: WriteUnit, chain_id: int, number: int) -> None:
    """Set the last block up to which a chain was searched."""
    unit.run(
        """
        INSERT INTO refund_searches (chain_id, number) VALUES (:chain_id, :number)
        ON CONFLICT (chain_id) DO UPDATE SET number = excluded.number
        """,
        {"chain_id": chain_id, "number": number},
    )


def received_apart(unit: ReadUnit, session_id: str, asset: Asset, deep_to: int) -> int:
    """Return the sum of the unmatched payments of a session in an asset, in blocks up to a number."""
    parameters: dict[str, Value] = {
        "session_id": session_id,
        "chain_id": asset.chain_id,
        "contract": asset.contract or "",
        "deep_to": deep_to,
    }
    rows = unit.all(
        """
        SELECT units FROM unmatched_payments
        WHERE session_id = :session_id AND chain_id = :chain_id AND COALESCE(contract, '') = :contract
            AND canonical = 1 AND provisional_balance IS NULL AND block_number <= :deep_to
        """,
        parameters,
    )
    return sum(int(row["units"]) for row in rows)


def received_by_sender(unit: ReadUnit, session_id: str, asset: Asset, deep_to: int) -> dict[Address, int]:
    """Return what each known sender paid to a session in an asset, in blocks up to a number, matched or not."""
    found: dict[Address, int] = {}
    for table in ("payments", "unmatched_payments"):
        for row in _by_sender(unit, table, session_id, asset, deep_to):
            found[Address(row["sender"])] = found.get(Address(row["sender"]), 0) + int(row["units"])
    return found


def _by_sender(unit: ReadUnit, table: str, session_id: str, asset: Asset, deep_to: int) -> list[Row]:
    return unit.all(
        f"""
        SELECT sender, units FROM {table}
        WHERE session_id = :session_id AND chain_id = :chain_id AND COALESCE(contract, '') = :contract
            AND canonical = 1 AND provisional_balance IS NULL AND block_number <= :deep_to AND sender IS NOT NULL
        """,  # noqa: S608 - one of two tables
        {
            "session_id": session_id,
            "chain_id": asset.chain_id,
            "contract": asset.contract or "",
            "deep_to": deep_to,
        },
    )


def _sum_up(unit: WriteUnit, session: Session) -> None:
    """Store the sums of a session's refunds in its asset."""
    of_asset = [
        each
        for each in of_session(unit, session.id)
        if (each.asset.chain_id, each.asset.contract) == (session.asset.chain_id, session.asset.contract)
    ]
    sums = RefundSums(
        refunded_units=sum(each.units for each in of_asset if each.status is RefundStatus.PAID),
        promised_units=sum(each.units for each in of_asset if each.status is not RefundStatus.CANCELED),
    )
    unit.run(_STORE_SUMS, {**_SUMS.values(sums), "id": session.id})

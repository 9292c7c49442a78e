"""Expected balances of sessions' addresses in a chain's native coin: any surplus is an internal transfer."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_WATCHED = """
    SELECT checkout_sessions.id, checkout_sessions.address, grace_until, balances.units
    FROM checkout_sessions
    LEFT JOIN balances ON balances.chain_id = :chain_id AND balances.session_id = checkout_sessions.id
    WHERE livemode = :livemode AND
"""


@dataclass(frozen=True, slots=True)
class WatchedBalance:
    """A session whose balance is compared; `units` is the expected balance, None before the first comparison."""

    session_id: str
    address: Address
    grace_until: datetime
    units: int | None


@dataclass(frozen=True, slots=True)
class Balance:
    """The expected balance of a session's address from a block on."""

    session_id: str
    block_number: int
    units: CoinUnits


_BALANCES = Table("balances", Balance)
_SAVE = _BALANCES.upsert(["chain_id", "session_id"], ["block_number", "units"], "chain_id")


def watched(unit: ReadUnit, chain_id: int, livemode: bool, since: datetime) -> list[WatchedBalance]:
    """Return the sessions of a mode, on any chain, whose grace period ends after a moment."""
    condition = "grace_until > :since"
    return _watched(unit, condition, {"chain_id": chain_id, "livemode": int(livemode), "since": moments.to_text(since)})


def watched_after(unit: ReadUnit, chain_id: int, livemode: bool, place: int) -> list[WatchedBalance]:
    """Return the sessions of a mode with a `seq` above `place`."""
    return _watched(unit, "seq > :place", {"chain_id": chain_id, "livemode": int(livemode), "place": place})


def last_place(unit: ReadUnit) -> int:
    """Return the `seq` of the newest session, 0 if there is none."""
    row = unit.one("SELECT MAX(seq) AS place FROM checkout_sessions")
    return 0 if row is None or row["place"] is None else int(row["place"])


def _watched(unit: ReadUnit, condition: str, parameters: dict[str, int | str]) -> list[WatchedBalance]:
    rows = unit.all(_WATCHED + condition, parameters)
    return [
        WatchedBalance(row[0], Address(row[1]), moments.from_text(row[2]), None if row[3] is None else int(row[3]))
        for row in rows
    ]


def save(unit: WriteUnit, chain_id: int, balances: Iterable[Balance]) -> None:
    """Store expected balances."""
    for balance in balances:
        unit.run(_SAVE, {**_BALANCES.values(balance), "chain_id": chain_id})


def forget_above(unit: WriteUnit, chain_id: int, number: int) -> None:
    """Delete balances from blocks above a number: they are read again at that block."""
    unit.run(
        "DELETE FROM balances WHERE chain_id = :chain_id AND block_number > :number",
        {"chain_id": chain_id, "number": number},
    )


def take_back(unit: WriteUnit, chain_id: int, above: int, anchor: int) -> None:
    """Take native payments in blocks above a number out of the expected balances; they hold at block `anchor` then.

    To be called before these payments are marked as orphaned.
    """
    parameters = {"chain_id": chain_id, "number": above}
    taken: dict[str, int] = defaultdict(int)
    for table in ("payments", "unmatched_payments"):
        rows = unit.all(
            f"""
            SELECT session_id, units FROM {table}
            WHERE chain_id = :chain_id AND block_number > :number AND contract IS NULL AND canonical = 1
            """,  # noqa: S608 - one of the two tables
            parameters,
        )
        for row in rows:
            taken[row["session_id"]] += int(row["units"])
    for session_id, units in taken.items():
        expected = unit.one(
            "SELECT units FROM balances WHERE chain_id = :chain_id AND session_id = :session_id",
            {"chain_id": chain_id, "session_id": session_id},
        )
        if expected is not None:
            # Of money that was swept meanwhile, nothing is left to take out.
            left = max(0, int(expected["units"]) - units)
            save(unit, chain_id, [Balance(session_id, anchor, CoinUnits(left))])
    unit.run(
        "UPDATE balances SET block_number = :anchor WHERE chain_id = :chain_id AND block_number > :number",
        {**parameters, "anchor": anchor},
    )

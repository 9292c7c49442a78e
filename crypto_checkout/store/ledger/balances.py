"""Expected balances of a chain's native coin at watched addresses: a higher balance is an internal transfer."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.ledger import outflows
from crypto_checkout.store.table import Table

_WATCHED = """
    SELECT checkout_sessions.address, grace_until, balances.units
    FROM checkout_sessions
    LEFT JOIN balances ON balances.chain_id = :chain_id AND balances.address = checkout_sessions.address
    WHERE livemode = :livemode AND
"""
_UNASSIGNED = """
    SELECT unassigned_addresses.address, NULL, balances.units
    FROM unassigned_addresses
    LEFT JOIN balances ON balances.chain_id = :chain_id AND balances.address = unassigned_addresses.address
    WHERE livemode = :livemode AND seq > :unassigned AND used_before = 0
"""


@dataclass(frozen=True, slots=True)
class WatchedBalance:
    """An address whose balance is compared; `units` is its expected balance, None if it was never read.

    `grace_until` is the end of its session's grace period; None for an unassigned address, which is watched for good.
    """

    address: Address
    grace_until: datetime | None
    units: int | None


@dataclass(frozen=True, slots=True)
class Balance:
    """The expected balance of an address from a block on."""

    address: Address
    block_number: int
    units: CoinUnits


@dataclass(frozen=True, slots=True)
class Places:
    """The places (`seq`) of the newest session and of the newest unassigned address: later ones have higher places."""

    session: int = 0
    unassigned: int = 0


_BALANCES = Table("balances", Balance)
_SAVE = _BALANCES.upsert(["chain_id", "address"], ["block_number", "units"], "chain_id")


def watched(unit: ReadUnit, chain_id: int, livemode: bool, since: datetime) -> list[WatchedBalance]:
    """Return the unassigned addresses of a mode, and those of its sessions whose grace period ends after a moment."""
    return [
        *_watched(unit, f"{_WATCHED} grace_until > :since", chain_id, livemode, {"since": moments.to_text(since)}),
        *_watched(unit, _UNASSIGNED, chain_id, livemode, {"unassigned": 0}),
    ]


def watched_after(unit: ReadUnit, chain_id: int, livemode: bool, places: Places) -> list[WatchedBalance]:
    """Return the watched addresses of a mode that were added after these places."""
    return [
        *_watched(unit, f"{_WATCHED} seq > :place", chain_id, livemode, {"place": places.session}),
        *_watched(unit, _UNASSIGNED, chain_id, livemode, {"unassigned": places.unassigned}),
    ]


def newest(unit: ReadUnit) -> Places:
    """Return the places of the newest addresses."""
    row = unit.one(
        """
        SELECT
            (SELECT COALESCE(MAX(seq), 0) FROM checkout_sessions),
            (SELECT COALESCE(MAX(seq), 0) FROM unassigned_addresses)
        """
    )
    assert row is not None, "it has no conditions"
    return Places(*row)


def _watched(
    unit: ReadUnit, query: str, chain_id: int, livemode: bool, parameters: dict[str, int | str]
) -> Iterator[WatchedBalance]:
    for row in unit.all(query, {"chain_id": chain_id, "livemode": int(livemode), **parameters}):
        units = None if row[2] is None else int(row[2])
        yield WatchedBalance(Address(row[0]), moments.from_optional_text(row[1]), units)


def stored(unit: ReadUnit, chain_id: int, address: Address) -> Balance | None:
    """Return the expected balance of an address; None if it was never read."""
    clauses = "WHERE chain_id = :chain_id AND address = :address"
    return _BALANCES.one(unit, clauses, {"chain_id": chain_id, "address": address})


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
    """Take native payments and outflows in blocks above a number out of the expected balances, as of block `anchor`.

    Call it before these are marked as orphaned.
    """
    parameters = {"chain_id": chain_id, "number": above}
    taken: dict[Address, int] = defaultdict(int)
    of_sessions = "payments JOIN checkout_sessions ON checkout_sessions.id = session_id"
    for table, chain in ((of_sessions, "payments.chain_id"), ("unmatched_payments", "chain_id")):
        rows = unit.all(
            f"""
            SELECT address, units FROM {table}
            WHERE {chain} = :chain_id AND block_number > :number AND contract IS NULL AND canonical = 1
            """,  # noqa: S608 - the two tables
            parameters,
        )
        for row in rows:
            taken[Address(row["address"])] += int(row["units"])
    for outflow in outflows.above(unit, chain_id, above):
        taken[outflow.address] -= outflow.units if outflow.contract is None else 0
    for address, units in taken.items():
        expected = stored(unit, chain_id, address)
        if expected is not None:
            # Money that was swept meanwhile is no longer in the balance.
            left = max(0, expected.units - units)
            save(unit, chain_id, [Balance(address, anchor, CoinUnits(left))])
    unit.run(
        "UPDATE balances SET block_number = :anchor WHERE chain_id = :chain_id AND block_number > :number",
        {**parameters, "anchor": anchor},
    )

"""Expected balances of a chain's native coin at watched addresses: a higher balance is an internal transfer."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.database import ReadUnit, Value, WriteUnit
from crypto_checkout.store.ledger import outflows
from crypto_checkout.store.table import Table

_WATCHED = """
    SELECT seq, checkout_sessions.address, grace_until, balances.units
    FROM checkout_sessions
    LEFT JOIN balances ON balances.chain_id = :chain_id AND balances.address = checkout_sessions.address
    WHERE livemode = :livemode AND seq > :after AND seq <= :up_to AND +grace_until > :since
    ORDER BY seq
    LIMIT :most
"""
_UNASSIGNED = """
    SELECT seq, unassigned_addresses.address, NULL, balances.units
    FROM unassigned_addresses
    LEFT JOIN balances ON balances.chain_id = :chain_id AND balances.address = unassigned_addresses.address
    WHERE livemode = :livemode AND seq > :after AND seq <= :up_to AND used_before = 0
    ORDER BY seq
    LIMIT :most
"""
PAGE = 1000
"""The addresses of one kind that are read at once: more would keep everybody else waiting."""


class WatchedBalance(NamedTuple):
    """An address whose balance is compared; `units` is its expected balance, None if it was never read.

    `seq` is its place. `grace_until` is the end of its session's grace period; None for an unassigned address, which is
    watched for good.
    """

    seq: int
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
_SAVE = """
INSERT INTO balances (chain_id, address, block_number, units)
VALUES (?, ?, ?, ?)
ON CONFLICT (chain_id, address) DO UPDATE SET block_number = excluded.block_number, units = excluded.units
"""


def watched(unit: ReadUnit, chain_id: int, livemode: bool, since: datetime) -> Iterator[WatchedBalance]:
    """Yield the unassigned addresses of a mode, and those of its sessions whose grace period ends after a moment."""
    after, up_to = before_oldest(unit, livemode, since), newest(unit)
    while after != up_to:
        found, after = page(unit, chain_id, livemode, since, after, up_to)
        yield from found


def page(
    unit: ReadUnit, chain_id: int, livemode: bool, since: datetime, after: Places, up_to: Places
) -> tuple[list[WatchedBalance], Places]:
    """Return the next of these addresses after some places, up to others; and the places reached.

    A place never changes, unlike the end of a grace period: what is read page by page misses no address.
    """
    parameters: dict[str, Value] = {
        "chain_id": chain_id, "livemode": int(livemode), "since": moments.to_text(since), "most": PAGE
    }  # fmt: skip
    sessions = _watched(unit, _WATCHED, {**parameters, "after": after.session, "up_to": up_to.session})
    others = _watched(unit, _UNASSIGNED, {**parameters, "after": after.unassigned, "up_to": up_to.unassigned})
    reached = Places(
        sessions[-1].seq if len(sessions) == PAGE else up_to.session,
        others[-1].seq if len(others) == PAGE else up_to.unassigned,
    )
    return [*sessions, *others], reached


def before_oldest(unit: ReadUnit, livemode: bool, since: datetime) -> Places:
    """Return the places before the oldest addresses that are watched."""
    row = unit.one(
        "SELECT MIN(seq) FROM checkout_sessions WHERE livemode = :livemode AND grace_until > :since",
        {"livemode": int(livemode), "since": moments.to_text(since)},
    )
    assert row is not None, "it has an aggregate only"
    return Places(newest(unit).session if row[0] is None else row[0] - 1)


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


def _watched(unit: ReadUnit, query: str, parameters: dict[str, Value]) -> list[WatchedBalance]:
    return [
        WatchedBalance(
            seq, Address(address), moments.from_optional_text(grace_until), None if units is None else int(units)
        )
        for seq, address, grace_until, units in unit.all(query, parameters)
    ]


def stored(unit: ReadUnit, chain_id: int, address: Address) -> Balance | None:
    """Return the expected balance of an address; None if it was never read."""
    clauses = "WHERE chain_id = :chain_id AND address = :address"
    return _BALANCES.one(unit, clauses, {"chain_id": chain_id, "address": address})


def save(unit: WriteUnit, chain_id: int, balances: Iterable[Balance]) -> None:
    """Store expected balances; of an address that comes twice, the last one."""
    rows = {each.address: (chain_id, each.address, each.block_number, str(each.units)) for each in balances}
    unit.put_many(_SAVE, [*rows.values()])


def save_at(unit: WriteUnit, chain_id: int, number: int, units: Mapping[Address, int]) -> None:
    """Store the expected balances of addresses, all from the block with this number on."""
    unit.put_many(_SAVE, [(chain_id, address, number, str(each)) for address, each in units.items()])


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

"""Collections, one for each transaction of a chain."""

import json
from collections.abc import Collection as Many
from dataclasses import dataclass
from typing import Any

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect.collection import CollectedItem, Collection, CollectionStatus
from crypto_checkout.core.ledger.outflow import FEE
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit, batched, placeholders
from crypto_checkout.store.paging import ListPage, Window, present, select
from crypto_checkout.store.table import Converter, Table


def _to_json(items: tuple[CollectedItem, ...]) -> str:
    return json.dumps(
        [
            {
                "session_id": each.session_id,
                "address": each.address,
                "chain_id": each.asset.chain_id,
                "asset": each.asset.symbol,
                "decimals": each.asset.decimals,
                "contract": each.asset.contract,
                "units": str(each.units),
            }
            for each in items
        ]
    )


def _from_json(text: str) -> tuple[CollectedItem, ...]:
    return tuple(map(_item, json.loads(text)))


def _item(found: dict[str, Any]) -> CollectedItem:
    contract = None if found["contract"] is None else Address(found["contract"])
    asset = Asset(found["chain_id"], found["asset"], found["decimals"], contract)
    return CollectedItem(found["session_id"], Address(found["address"]), asset, int(found["units"]))


_COLLECTIONS = Table("collections", Collection, converters={"items": Converter("TEXT", _to_json, _from_json)})
_UPDATE = _COLLECTIONS.update_all_but("livemode", "chain_id", "tx_hash", "created_at")


@dataclass(frozen=True, slots=True)
class CollectedFrom:
    """An amount that a collection took from an address."""

    address: Address
    chain_id: int
    contract: str | None
    block_number: int
    collection_id: str


@dataclass(frozen=True, slots=True)
class CollectionFilter:
    """A filter of collections; None matches any."""

    status: CollectionStatus | None = None


def insert(unit: WriteUnit, collection: Collection) -> None:
    """Store a new collection."""
    unit.run(_COLLECTIONS.insert, _COLLECTIONS.values(collection))


def update(unit: WriteUnit, collection: Collection) -> None:
    """Store a changed collection."""
    unit.run(_UPDATE, _COLLECTIONS.values(collection))


def get(unit: ReadUnit, collection_id: str, livemode: bool) -> Collection | None:
    """Return a collection of a mode."""
    found = _COLLECTIONS.one(unit, "WHERE id = :id", {"id": collection_id})
    return None if found is None or found.livemode is not livemode else found


def of_transaction(unit: ReadUnit, chain_id: int, tx_hash: str) -> Collection | None:
    """Return the collection of a transaction."""
    clauses = "WHERE chain_id = :chain_id AND tx_hash = :tx_hash"
    return _COLLECTIONS.one(unit, clauses, {"chain_id": chain_id, "tx_hash": tx_hash})


def listed(unit: ReadUnit, livemode: bool, filters: CollectionFilter, window: Window) -> ListPage[Collection]:
    """Return a page of collections."""
    conditions, parameters = present({"livemode = :livemode": int(livemode), "status = :status": filters.status})
    return select(unit, _COLLECTIONS, conditions, parameters, window)


def last_seq(unit: ReadUnit, livemode: bool) -> int:
    """Return the `seq` of a mode's newest collection, 0 if there is none."""
    row = unit.one("SELECT MAX(seq) AS last FROM collections WHERE livemode = :livemode", {"livemode": int(livemode)})
    return int(row["last"] or 0) if row else 0


SELECT = f"SELECT {_COLLECTIONS.listed}, seq FROM collections"  # noqa: S608 - the columns of the table


def read(row: Row) -> Collection:
    """Return the collection in a row of `SELECT`."""
    return _COLLECTIONS.read(row)


def from_addresses(unit: ReadUnit, addresses: Many[Address]) -> list[CollectedFrom]:
    """Return what was collected from these addresses, in canonical blocks, oldest first."""
    found: list[CollectedFrom] = []
    for part in batched([*addresses]):
        names, among = placeholders(part)
        rows = unit.all(
            f"""
            SELECT address, outflows.chain_id, contract, outflows.block_number, id FROM outflows
            JOIN collections ON collections.chain_id = outflows.chain_id AND collections.tx_hash = outflows.tx_hash
            WHERE address IN ({names}) AND canonical = 1 AND log_index <> {FEE}
            """,  # noqa: S608 - names of parameters, and a number
            among,
        )
        found += [CollectedFrom(Address(row[0]), row[1], row[2], row[3], row[4]) for row in rows]
    return sorted(found, key=lambda each: each.block_number)


def is_any_seen(unit: ReadUnit, chain_id: int, number: int) -> bool:
    """Tell whether a collection in a chain's blocks above a number isn't confirmed yet."""
    row = unit.one(
        "SELECT 1 FROM collections WHERE chain_id = :chain_id AND block_number > :number AND status = 'seen' LIMIT 1",
        {"chain_id": chain_id, "number": number},
    )
    return row is not None


def to_judge(unit: ReadUnit, livemode: bool, chain_id: int, number: int) -> list[str]:
    """Return the transactions of a chain's collections that aren't confirmed, and of those in blocks above a number."""
    rows = unit.all(
        """
        SELECT tx_hash FROM collections WHERE chain_id = :chain_id AND block_number > :number
        UNION
        SELECT tx_hash FROM collections
        WHERE livemode = :livemode AND status = 'seen' AND +chain_id = :chain_id
        """,
        {"livemode": int(livemode), "chain_id": chain_id, "number": number},
    )
    return [row["tx_hash"] for row in rows]

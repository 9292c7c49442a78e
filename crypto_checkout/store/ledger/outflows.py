"""Outflows: what left our addresses, once each. Rows are never deleted; those of orphaned blocks are not canonical.

Coins that left unseen are only what a lower balance shows. Once a log or a transaction explains them, it takes their
place. What an address itself says was collected of a token takes the place of the token's own logs.
"""

from collections.abc import Collection, Sequence

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.outflow import UNSEEN, Outflow
from crypto_checkout.store.database import ReadUnit, Row, Value, WriteUnit, batched, placeholders

_COLUMNS = "address, contract, units, destination, tx_hash, log_index, block_number, block_hash, block_time, collected"


def record(unit: WriteUnit, chain_id: int, session_id: str | None, livemode: bool, outflow: Outflow) -> None:
    """Store an outflow; recording it twice changes nothing, but for one unseen, which adds to that of its block."""
    if _is_told_better(unit, chain_id, outflow):
        return
    units = outflow.units
    if outflow.log_index == UNSEEN:
        units += sum(each.units for each in _unseen(unit, chain_id, outflow) if each.block_hash == outflow.block_hash)
    changed = unit.run(
        """
        INSERT INTO outflows (
            livemode, chain_id, address, session_id, contract, units, destination, tx_hash, log_index, block_number,
            block_hash, block_time, collected, canonical, recorded_at
        )
        VALUES (
            :livemode, :chain_id, :address, :session_id, :contract, :units, :destination, :tx_hash, :log_index,
            :block_number, :block_hash, :block_time, :collected, 1, :recorded_at
        )
        ON CONFLICT (chain_id, COALESCE(tx_hash, block_hash), address, COALESCE(contract, ''), log_index) DO UPDATE
        SET units = excluded.units, destination = excluded.destination, block_number = excluded.block_number,
            block_hash = excluded.block_hash, block_time = excluded.block_time, canonical = 1
        WHERE outflows.canonical = 0 OR outflows.log_index = :unseen
        """,
        {
            "livemode": int(livemode),
            "chain_id": chain_id,
            "address": outflow.address,
            "session_id": session_id,
            "contract": outflow.contract,
            "units": str(units),
            "destination": outflow.destination,
            "tx_hash": outflow.tx_hash,
            "log_index": outflow.log_index,
            "block_number": outflow.block_number,
            "block_hash": outflow.block_hash,
            "block_time": moments.to_text(outflow.block_time),
            "collected": int(outflow.is_collected),
            "recorded_at": unit.now_text,
            "unseen": UNSEEN,
        },
    )
    if changed and outflow.contract is None and outflow.log_index != UNSEEN:
        _replace_unseen(unit, chain_id, outflow)
    elif changed and outflow.is_collected:
        _forget_logs(unit, chain_id, outflow)


def _is_told_better(unit: ReadUnit, chain_id: int, outflow: Outflow) -> bool:
    """Tell whether a token's log repeats what the address itself says was collected in that transaction."""
    if outflow.contract is None or outflow.is_collected:
        return False
    row = unit.one(
        """
        SELECT 1 FROM outflows
        WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :tx_hash AND address = :address
            AND COALESCE(contract, '') = :contract AND collected = 1 AND canonical = 1
        """,
        _of_transaction(chain_id, outflow),
    )
    return row is not None


def _forget_logs(unit: WriteUnit, chain_id: int, outflow: Outflow) -> None:
    unit.run(
        """
        UPDATE outflows SET canonical = 0
        WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :tx_hash AND address = :address
            AND COALESCE(contract, '') = :contract AND collected = 0
        """,
        _of_transaction(chain_id, outflow),
    )


def _of_transaction(chain_id: int, outflow: Outflow) -> dict[str, Value]:
    return {
        "chain_id": chain_id,
        "tx_hash": outflow.tx_hash,
        "address": outflow.address,
        "contract": outflow.contract or "",
    }


def _unseen(unit: ReadUnit, chain_id: int, outflow: Outflow) -> list[Outflow]:
    """Return the coins that left an address unseen in an outflow's block or later ones, oldest first."""
    rows = unit.all(
        f"""
        SELECT {_COLUMNS} FROM outflows
        WHERE address = :address AND +chain_id = :chain_id AND block_number >= :number AND log_index = :unseen
            AND canonical = 1
        ORDER BY block_number
        """,  # noqa: S608 - the names above
        {"address": outflow.address, "chain_id": chain_id, "number": outflow.block_number, "unseen": UNSEEN},
    )
    return [_read(row) for row in rows]


def _replace_unseen(unit: WriteUnit, chain_id: int, outflow: Outflow) -> None:
    """Let coins whose way out is known by now take the place of ones that left unseen, up to their amount."""
    left = outflow.units
    for each in _unseen(unit, chain_id, outflow):
        taken = min(left, each.units)
        left -= taken
        unit.run(
            """
            UPDATE outflows SET units = :units, canonical = :canonical
            WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :block_hash AND address = :address
                AND log_index = :unseen
            """,
            {
                "units": str(each.units - taken),
                "canonical": int(taken < each.units),
                "chain_id": chain_id,
                "block_hash": each.block_hash,
                "address": each.address,
                "unseen": UNSEEN,
            },
        )


def orphan_above(unit: WriteUnit, chain_id: int, number: int) -> None:
    """Mark the outflows in blocks above a number as orphaned."""
    unit.run(
        "UPDATE outflows SET canonical = 0 WHERE chain_id = :chain_id AND block_number > :number AND canonical = 1",
        {"chain_id": chain_id, "number": number},
    )


def at_addresses(unit: ReadUnit, chain_id: int, addresses: Collection[Address]) -> list[Outflow]:
    """Return the outflows of these addresses on a chain, of all assets, in canonical blocks."""
    found: list[Outflow] = []
    for part in batched([*addresses]):
        names, among = placeholders(part)
        rows = unit.all(
            f"""
            SELECT {_COLUMNS} FROM outflows
            WHERE address IN ({names}) AND +chain_id = :chain_id AND canonical = 1
            """,  # noqa: S608 - the names above
            {**among, "chain_id": chain_id},
        )
        found += map(_read, rows)
    return found


def last_destinations(unit: ReadUnit, livemode: bool) -> dict[tuple[int, Address], Address]:
    """Return where the code of addresses last sent what was collected, by chain: it can be called again."""
    rows = unit.all(
        """
        SELECT chain_id, address, destination FROM outflows
        WHERE livemode = :livemode AND collected = 1 AND canonical = 1 AND destination IS NOT NULL
        ORDER BY block_number
        """,
        {"livemode": int(livemode)},
    )
    return {(row["chain_id"], Address(row["address"])): Address(row["destination"]) for row in rows}


def above(unit: ReadUnit, chain_id: int, number: int) -> list[Outflow]:
    """Return the outflows in canonical blocks above a number."""
    rows = unit.all(
        f"SELECT {_COLUMNS} FROM outflows WHERE chain_id = :chain_id AND block_number > :number AND canonical = 1",  # noqa: S608 - likewise
        {"chain_id": chain_id, "number": number},
    )
    return [_read(row) for row in rows]


def transactions_after(unit: ReadUnit, chain_id: int, seq: int) -> tuple[int, list[str]]:
    """Return the newest place of an outflow, and the hashes of a chain's transactions with one after a place."""
    rows = unit.all("SELECT seq, chain_id, tx_hash FROM outflows WHERE seq > :seq ORDER BY seq", {"seq": seq})
    hashes = [row["tx_hash"] for row in rows if row["chain_id"] == chain_id and row["tx_hash"] is not None]
    return (rows[-1]["seq"] if rows else seq), [*dict.fromkeys(hashes)]


def of_transaction(unit: ReadUnit, chain_id: int, tx_hash: str) -> list[tuple[str | None, Outflow]]:
    """Return the outflows of a transaction in a canonical block, each with the session of its address."""
    rows = unit.all(
        f"""
        SELECT {_COLUMNS}, session_id FROM outflows
        WHERE chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :tx_hash AND canonical = 1
        ORDER BY log_index, seq
        """,  # noqa: S608 - the names above
        {"chain_id": chain_id, "tx_hash": tx_hash},
    )
    return [(row["session_id"], _read(row)) for row in rows]


def coins(
    unit: ReadUnit, chain_id: int, addresses: Sequence[Address], *, up_to: int | None = None
) -> dict[Address, int]:
    """Return the sum of coins that left each address, up to a block if one is named."""
    sums = dict.fromkeys(addresses, 0)
    for each in at_addresses(unit, chain_id, addresses):
        if each.contract is None and (up_to is None or each.block_number <= up_to):
            sums[each.address] += each.units
    return sums


def _read(row: Row) -> Outflow:
    return Outflow(
        Address(row["address"]),
        None if row["contract"] is None else Address(row["contract"]),
        int(row["units"]),
        None if row["destination"] is None else Address(row["destination"]),
        row["tx_hash"],
        row["log_index"],
        row["block_number"],
        row["block_hash"],
        moments.from_text(row["block_time"]),
        bool(row["collected"]),
    )

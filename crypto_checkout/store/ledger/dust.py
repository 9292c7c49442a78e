"""Dust in both tables of payments: one row for all of it that reaches a receiver in a block, with the exact sum.

The row keeps the fingerprint of each transfer (`core.ledger.dust`), so that one that is shown again is added once.
"""

from collections.abc import Mapping, Sequence

from crypto_checkout.core import moments
from crypto_checkout.core.ledger.dust import fingerprint, split_fingerprints, without_repeats
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.store.database import ReadUnit, Row, Value, WriteUnit
from crypto_checkout.store.ledger.unnamed import CHANGED, RECEIVER, PaymentsTable


def has(unit: ReadUnit, table: PaymentsTable, chain_id: int, receiver: str, transfer: Transfer) -> bool:
    """Tell whether a transfer is in the dust of its block: a higher floor may have been configured then."""
    row = _dust(unit, table, chain_id, receiver, transfer)
    return row is not None and fingerprint(transfer) in split_fingerprints(row["fingerprints"])


def add(
    unit: WriteUnit, table: PaymentsTable, chain_id: int, owner: Mapping[str, Value], transfers: Sequence[Transfer]
) -> bool:
    """Add transfers of one token, or of the coin, in one block to its dust; return whether this changed anything.

    `owner` has the columns that name the receiver, its session and its mode. If the block's dust was orphaned, it
    begins anew with these.
    """
    receiver, first = str(owner[RECEIVER[table]]), transfers[0]
    row = _dust(unit, table, chain_id, receiver, first)
    known = split_fingerprints(row["fingerprints"]) if row is not None else frozenset()
    single = _single(unit, table, chain_id, receiver, first)
    found = {
        name: each
        for name, each in without_repeats(transfers).items()
        if name not in known and (each.tx_hash, each.kind, each.log_index) not in single
    }
    if not found:
        return False
    units = sum(each.units for each in found.values())
    kind = TransferKind.NATIVE if first.contract is None else TransferKind.TOKEN
    names = [*owner]
    unit.run(
        f"""
        INSERT INTO {table} (
            {", ".join(names)}, chain_id, kind, contract, units, block_number, block_hash, block_time, canonical,
            recorded_at, dust, fingerprints
        )
        VALUES (
            {", ".join(f":{name}" for name in names)}, :chain_id, :kind, :contract, :units, :block_number, :block_hash,
            :block_time, 1, :recorded_at, :dust, :fingerprints
        )
        ON CONFLICT ({_KEY[table]}) DO UPDATE
        SET units = excluded.units, dust = excluded.dust, fingerprints = excluded.fingerprints, canonical = 1
            {CHANGED[table]}
        """,  # noqa: S608 - names of this module
        {
            **owner,
            "chain_id": chain_id,
            "kind": kind,
            "contract": first.contract,
            "units": str(units + (int(row["units"]) if row is not None else 0)),
            "block_number": first.block_number,
            "block_hash": first.block_hash,
            "block_time": moments.to_text(first.block_time),
            "recorded_at": unit.now_text,
            "dust": len(known) + len(found),
            "fingerprints": "".join([*sorted(known), *found]),
        },
    )
    return True


_KEY: Mapping[PaymentsTable, str] = {
    "payments": "chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1), (dust IS NULL)",
    "unmatched_payments": (
        "chain_id, COALESCE(tx_hash, block_hash), address, kind, COALESCE(log_index, -1), COALESCE(contract, '')"
    ),
}
"""What identifies a payment in each table."""


def _dust(unit: ReadUnit, table: PaymentsTable, chain_id: int, receiver: str, transfer: Transfer) -> Row | None:
    """Return the dust of a transfer's block and asset, unless it was orphaned."""
    return unit.one(
        f"""
        SELECT units, fingerprints FROM {table}
        WHERE {RECEIVER[table]} = :receiver AND block_number = :number AND block_hash = :block_hash
            AND +chain_id = :chain_id AND contract IS :contract AND dust IS NOT NULL AND canonical = 1
        """,  # noqa: S608 - names of this module
        _place(chain_id, receiver, transfer),
    )


def _single(
    unit: ReadUnit, table: PaymentsTable, chain_id: int, receiver: str, transfer: Transfer
) -> set[tuple[Value, ...]]:
    """Return what identifies the single payments of a transfer's block."""
    rows = unit.all(
        f"""
        SELECT tx_hash, kind, log_index FROM {table}
        WHERE {RECEIVER[table]} = :receiver AND block_number = :number AND block_hash = :block_hash
            AND +chain_id = :chain_id AND contract IS :contract AND dust IS NULL AND canonical = 1
        """,  # noqa: S608 - names of this module
        _place(chain_id, receiver, transfer),
    )
    return {(row["tx_hash"], row["kind"], row["log_index"]) for row in rows}


def _place(chain_id: int, receiver: str, transfer: Transfer) -> dict[str, Value]:
    return {
        "chain_id": chain_id,
        "receiver": receiver,
        "number": transfer.block_number,
        "block_hash": transfer.block_hash,
        "contract": transfer.contract,
    }

"""The payments of one transaction in both tables: single ones by its hash, dust by fingerprints of its transfers."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.ledger.dust import fingerprint, split_fingerprints
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.store.database import ReadUnit, Row
from crypto_checkout.store.ledger import payments

_PAYMENTS = "payments JOIN checkout_sessions ON checkout_sessions.id = payments.session_id"


@dataclass(frozen=True, slots=True)
class FoundPayment:
    """A payment in the ledger, asked for or unmatched, with the session that has its address, if one has.

    `transfers` are those of the transaction that a sum of dust contains, empty for a single payment.
    """

    session_id: str | None
    address: Address
    recorded: RecordedPayment
    transfers: frozenset[Transfer] = frozenset()


def single(unit: ReadUnit, chain_id: int, tx_or_block_hash: str, most: int) -> list[FoundPayment]:
    """Return the single payments by a transaction, or by untraced transfers in a block, at most as many a table."""
    found: list[FoundPayment] = []
    for table, name in ((_PAYMENTS, "payments"), ("unmatched_payments", "unmatched_payments")):
        rows = unit.all(
            f"""
            SELECT session_id, address, {name}.chain_id, recorded_at, {payments.columns_of(name)} FROM {table}
            WHERE {name}.chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :hash AND dust IS NULL
            ORDER BY {name}.seq
            LIMIT :most
            """,  # noqa: S608 - the two tables
            {"chain_id": chain_id, "hash": tx_or_block_hash, "most": most},
        )
        found += [_found(row, is_asked_for=table is _PAYMENTS) for row in rows]
    return found


def dust(unit: ReadUnit, chain_id: int, block_hash: str, transfers: Collection[Transfer]) -> Iterator[FoundPayment]:
    """Yield the sums of dust of a block that contain any of these transfers."""
    by_print = {fingerprint(transfer): transfer for transfer in transfers}
    for table, name in ((_PAYMENTS, "payments"), ("unmatched_payments", "unmatched_payments")):
        rows = unit.all(
            f"""
            SELECT session_id, address, {name}.chain_id, recorded_at, {payments.columns_of(name)}, fingerprints
            FROM {table}
            WHERE {name}.chain_id = :chain_id AND COALESCE(tx_hash, block_hash) = :hash AND dust IS NOT NULL
            """,  # noqa: S608 - the two tables
            {"chain_id": chain_id, "hash": block_hash},
        )
        for row in rows:
            found = split_fingerprints(row["fingerprints"]) & by_print.keys()
            mine = frozenset(by_print[each] for each in found if by_print[each].to == row["address"])
            if mine:
                yield _found(row, is_asked_for=table is _PAYMENTS, transfers=mine)


def _found(row: Row, *, is_asked_for: bool, transfers: frozenset[Transfer] = frozenset()) -> FoundPayment:
    address = Address(row["address"])
    recorded = payments.recorded_payment(row, address, is_asked_for=is_asked_for)
    return FoundPayment(row["session_id"], address, recorded, transfers)

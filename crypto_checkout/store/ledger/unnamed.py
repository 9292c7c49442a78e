"""Unnamed credits: internal transfers without a known transaction, inferred from the rise of a balance.

A new one is provisional: it is stored with the balance it was inferred from, and counts once that is read again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit

PaymentsTable = Literal["payments", "unmatched_payments"]
_TABLES: tuple[PaymentsTable, PaymentsTable] = ("payments", "unmatched_payments")
RECEIVER: Mapping[PaymentsTable, str] = {"payments": "session_id", "unmatched_payments": "address"}
"""The column that says whom a row pays."""

_JOIN: Mapping[PaymentsTable, str] = {
    "payments": "JOIN checkout_sessions ON checkout_sessions.id = payment.session_id",
    "unmatched_payments": "",
}
CHANGED: Mapping[PaymentsTable, str] = {"payments": ", tallied = 0", "unmatched_payments": ""}
"""What an UPDATE of a row's amount or place sets besides."""


@dataclass(frozen=True, slots=True)
class UnnamedCredit:
    """An unnamed internal transfer in a canonical block, in either table of payments.

    `provisional_balance` is the balance at `block` that it was inferred from; None once it counts.
    """

    table: PaymentsTable
    seq: int
    session_id: str | None
    address: Address
    units: int
    block: Header
    provisional_balance: int | None

    @property
    def is_payment(self) -> bool:
        """True for a payment that matches its session's terms."""
        return self.table == "payments"

    @property
    def has_counted(self) -> bool:
        """True for a payment that counts for its session."""
        return self.is_payment and self.provisional_balance is None


def provisional(unit: ReadUnit, chain_id: int) -> list[UnnamedCredit]:
    """Return the provisional credits of a chain, oldest first."""
    return _select(unit, "provisional_balance IS NOT NULL AND payment.chain_id = :chain_id", {"chain_id": chain_id})


def at_addresses(unit: ReadUnit, chain_id: int, addresses: Iterable[Address]) -> list[UnnamedCredit]:
    """Return all unnamed credits of addresses on a chain, provisional or not, oldest first per address."""
    found: list[UnnamedCredit] = []
    for address in addresses:
        condition = "address = :address AND +payment.chain_id = :chain_id"
        found += _select(unit, condition, {"address": address, "chain_id": chain_id})
    return found


def sessions_between(unit: ReadUnit, chain_id: int, above: int, up_to: int, limit: int) -> list[str]:
    """Return the ids of sessions with unnamed credits in the blocks above a number, up to another."""
    rows = unit.all(
        """
        SELECT session_id FROM payments
        WHERE chain_id = :chain_id AND block_number > :above AND block_number <= :up_to
            AND kind = 'internal' AND tx_hash IS NULL AND canonical = 1
        UNION
        SELECT session_id FROM unmatched_payments
        WHERE chain_id = :chain_id AND block_number > :above AND block_number <= :up_to
            AND kind = 'internal' AND tx_hash IS NULL AND canonical = 1 AND session_id IS NOT NULL
        LIMIT :limit
        """,
        {"chain_id": chain_id, "above": above, "up_to": up_to, "limit": limit},
    )
    return [row["session_id"] for row in rows]


def confirm(unit: WriteUnit, credit: UnnamedCredit) -> None:
    """Make a provisional credit count."""
    unit.run(
        f"""
        UPDATE {credit.table} SET provisional_balance = NULL{CHANGED[credit.table]}
        WHERE seq = :seq AND canonical = 1
        """,  # noqa: S608 - of two tables
        {"seq": credit.seq},
    )


def take_back(unit: WriteUnit, credit: UnnamedCredit) -> None:
    """Mark a credit as orphaned, as if its block had been."""
    unit.run(
        f"""
        UPDATE {credit.table} SET canonical = 0, provisional_balance = NULL{CHANGED[credit.table]}
        WHERE seq = :seq
        """,  # noqa: S608 - likewise
        {"seq": credit.seq},
    )


def absorb_earlier(unit: WriteUnit, table: PaymentsTable, chain_id: int, receiver: str, transfer: Transfer) -> Transfer:
    """Add an unnamed transfer to the one stored for its block, mark that one as orphaned, and return the sum.

    A transfer with a known transaction is returned as it is. `receiver` is the session of a payment, the address of an
    unmatched one.
    """
    if transfer.tx_hash is not None:
        return transfer
    row = unit.one(
        f"""
        UPDATE {table} SET canonical = 0{CHANGED[table]}
        WHERE {RECEIVER[table]} = :receiver AND +chain_id = :chain_id AND block_hash = :block_hash
            AND kind = :kind AND tx_hash IS NULL AND dust IS NULL AND canonical = 1
        RETURNING units
        """,  # noqa: S608 - one of the two tables
        {"receiver": receiver, "chain_id": chain_id, "block_hash": transfer.block_hash, "kind": transfer.kind},
    )
    return transfer if row is None else replace(transfer, units=transfer.units + int(row["units"]))


def _select(unit: ReadUnit, condition: str, parameters: dict[str, int | str]) -> list[UnnamedCredit]:
    internal = f"{condition} AND payment.kind = 'internal' AND payment.tx_hash IS NULL"
    return _sorted([credit for table in _TABLES for credit in _of_table(unit, table, internal, parameters)])


def select_payments(unit: ReadUnit, condition: str, parameters: dict[str, int | str]) -> list[UnnamedCredit]:
    """Return payments of sessions as unnamed credits, oldest first; the condition is that of `store.ledger.tokens`."""
    return _sorted(_of_table(unit, "payments", condition, parameters))


def _of_table(
    unit: ReadUnit, table: PaymentsTable, condition: str, parameters: dict[str, int | str]
) -> list[UnnamedCredit]:
    rows = unit.all(
        f"""
        SELECT payment.seq, session_id, address, units, block_number, block_hash, block_time, provisional_balance
        FROM {table} AS payment {_JOIN[table]}
        WHERE {condition} AND canonical = 1
        """,  # noqa: S608 - names and conditions of this room
        parameters,
    )
    return [_credit(table, row) for row in rows]


def _sorted(credits: list[UnnamedCredit]) -> list[UnnamedCredit]:
    return sorted(credits, key=lambda credit: (credit.block.number, credit.seq))


def _credit(table: PaymentsTable, row: Row) -> UnnamedCredit:
    balance = row["provisional_balance"]
    return UnnamedCredit(
        table=table,
        seq=row["seq"],
        session_id=row["session_id"],
        address=Address(row["address"]),
        units=int(row["units"]),
        block=Header(row["block_number"], row["block_hash"], "", moments.from_text(row["block_time"])),
        provisional_balance=None if balance is None else int(balance),
    )

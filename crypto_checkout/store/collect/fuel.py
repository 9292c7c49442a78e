"""Transactions that the fuel key signed. A row is there before it is sent, so a killed process sends none twice."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.chain_state import FuelCall
from crypto_checkout.core.collect.plan_file import SignedTransaction
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit


@dataclass(frozen=True, slots=True)
class FuelTransaction:
    """A signed call of the Collector; `cost_fiat` is the most that it can cost."""

    sender: Address
    call: FuelCall
    signed: SignedTransaction
    cost_fiat: Decimal
    signed_at: datetime


def record(unit: WriteUnit, transaction: FuelTransaction) -> None:
    """Store a transaction that is about to be sent."""
    call = transaction.call
    unit.run(
        """
        INSERT INTO fuel_transactions (
            chain_id, sender, nonce, tx_hash, raw, data, gas, max_fee_per_gas, max_priority_fee_per_gas, cost_fiat,
            signed_at
        )
        VALUES (
            :chain_id, :sender, :nonce, :tx_hash, :raw, :data, :gas, :max_fee_per_gas, :max_priority_fee_per_gas,
            :cost_fiat, :signed_at
        )
        """,
        {
            "chain_id": call.chain_id,
            "sender": transaction.sender,
            "nonce": call.nonce,
            "tx_hash": transaction.signed.hash,
            "raw": transaction.signed.raw,
            "data": "0x" + call.data.hex(),
            "gas": call.gas,
            "max_fee_per_gas": str(call.max_fee_per_gas),
            "max_priority_fee_per_gas": str(call.max_priority_fee_per_gas),
            "cost_fiat": str(transaction.cost_fiat),
            "signed_at": moments.to_text(transaction.signed_at),
        },
    )


def waiting(unit: ReadUnit, chain_id: int) -> list[FuelTransaction]:
    """Return the transactions that are in no block yet, oldest first: several of one nonce where fees were raised."""
    rows = unit.all(
        "SELECT * FROM fuel_transactions WHERE chain_id = :chain_id AND state = 'sent' ORDER BY seq",
        {"chain_id": chain_id},
    )
    return [_transaction(row) for row in rows]


def settle(unit: WriteUnit, chain_id: int, mined_hash: str | None) -> None:
    """Mark what waits on a chain as done: one was mined, or another transaction took their nonce (None)."""
    unit.run(
        """
        UPDATE fuel_transactions
        SET state = CASE WHEN tx_hash = :mined THEN 'mined' ELSE 'replaced' END
        WHERE chain_id = :chain_id AND state = 'sent'
        """,
        {"chain_id": chain_id, "mined": mined_hash},
    )


def last_signed_at(unit: ReadUnit, chain_id: int) -> datetime | None:
    """Return when the last transaction on a chain was signed; None if none was."""
    row = unit.one(
        "SELECT MAX(signed_at) AS at FROM fuel_transactions WHERE chain_id = :chain_id", {"chain_id": chain_id}
    )
    return None if row is None or row["at"] is None else moments.from_text(row["at"])


def spent_since(unit: ReadUnit, chain_id: int, since: datetime) -> Decimal:
    """Return the most that was spent on a chain since a time: of transactions with one nonce, one counts."""
    rows = unit.all(
        """
        SELECT sender, nonce, cost_fiat FROM fuel_transactions
        WHERE chain_id = :chain_id AND signed_at >= :since
        """,
        {"chain_id": chain_id, "since": moments.to_text(since)},
    )
    highest: dict[tuple[str, int], Decimal] = {}
    for sender, nonce, cost in rows:
        highest[sender, nonce] = max(Decimal(cost), highest.get((sender, nonce), Decimal(0)))
    return sum(highest.values(), Decimal(0))


def _transaction(row: Row) -> FuelTransaction:
    return FuelTransaction(
        Address(row["sender"]),
        FuelCall(
            row["chain_id"],
            row["nonce"],
            bytes.fromhex(row["data"][2:]),
            row["gas"],
            int(row["max_fee_per_gas"]),
            int(row["max_priority_fee_per_gas"]),
        ),
        SignedTransaction(row["tx_hash"], row["raw"]),
        Decimal(row["cost_fiat"]),
        moments.from_text(row["signed_at"]),
    )

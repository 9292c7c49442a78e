"""The stored sandbox chain: its state, in the format of `chain.sandbox.chain`, and its transactions."""

from collections.abc import Iterable
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.sandbox import SandboxTransaction
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_TRANSACTIONS = Table("sandbox_transactions", SandboxTransaction, names={"to": "recipient"})
_COLUMNS = f"{_TRANSACTIONS.listed}, seq"

_WATCHED = """
    SELECT address
    FROM checkout_sessions
    WHERE livemode = 0 AND grace_until > :since
    UNION ALL
    SELECT address
    FROM unassigned_addresses
    WHERE livemode = 0
"""

_OF_WATCHED = f"(sender IS NULL AND recipient IN ({_WATCHED}) OR sender IN ({_WATCHED}))"


def load(unit: ReadUnit) -> str | None:
    """Return the stored state; None before the first `save`."""
    row = unit.one("SELECT state FROM sandbox WHERE only_row = 1")
    return str(row["state"]) if row else None


def transactions(unit: ReadUnit, above: int, since: datetime) -> list[SandboxTransaction]:
    """Return the transactions that are still needed, in the order in which they were stored.

    These are the ones in blocks above a number, and those to sessions whose grace period ends after `since`, because
    their balances are still compared.
    """
    newest = unit.all(f"SELECT {_COLUMNS} FROM sandbox_transactions WHERE block_number > :above", {"above": above})  # noqa: S608 - as above
    watched = unit.all(
        f"SELECT {_COLUMNS} FROM sandbox_transactions WHERE block_number <= :above AND {_OF_WATCHED}",  # noqa: S608
        {"above": above, "since": moments.to_text(since)},
    )
    return [_TRANSACTIONS.read(row) for row in sorted((*watched, *newest), key=lambda row: int(row["seq"]))]


def forget(unit: WriteUnit, above: int, since: datetime, most: int) -> list[SandboxTransaction]:
    """Delete and return at most `most` of the transactions that `transactions` leaves out."""
    rows = unit.all(
        f"""
        DELETE FROM sandbox_transactions
        WHERE seq IN (
            SELECT seq
            FROM sandbox_transactions
            WHERE block_number <= :above AND COALESCE(sender, recipient) NOT IN ({_WATCHED})
            ORDER BY block_number
            LIMIT :most
        )
        RETURNING {_COLUMNS}
        """,  # noqa: S608 - constants
        {"above": above, "since": moments.to_text(since), "most": most},
    )
    return [_TRANSACTIONS.read(row) for row in rows]


def save(
    unit: WriteUnit, state: str, added: Iterable[SandboxTransaction] = (), removed: Iterable[SandboxTransaction] = ()
) -> None:
    """Store the state, with the transactions added and removed."""
    unit.run(
        """
        INSERT INTO sandbox (only_row, state, updated_at)
        VALUES (1, :state, :now)
        ON CONFLICT (only_row) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at
        """,
        {"state": state, "now": unit.now_text},
    )
    for transaction in removed:
        unit.run(
            "DELETE FROM sandbox_transactions WHERE hash = :hash AND place = :place",
            {"hash": transaction.hash, "place": transaction.place},
        )
    for transaction in added:
        unit.run(_TRANSACTIONS.insert, _TRANSACTIONS.values(transaction))

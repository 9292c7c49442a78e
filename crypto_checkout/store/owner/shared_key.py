"""The name of the key that all processes of one database on a server encrypt with, each by the file in its folder."""

from crypto_checkout.store.database import ReadUnit, WriteUnit


def name(unit: ReadUnit) -> str | None:
    """Return the name of the key (`encryption.key_id`); None before the first process that served."""
    row = unit.one("SELECT key_id FROM shared_key")
    return None if row is None else str(row["key_id"])


def set_name(unit: WriteUnit, key_id: str) -> None:
    """Store the name of the key."""
    unit.run(
        """
        INSERT INTO shared_key (only_row, key_id) VALUES (1, :key_id)
        ON CONFLICT (only_row) DO UPDATE SET key_id = excluded.key_id
        """,
        {"key_id": key_id},
    )

"""Derivation paths of addresses that were given out before the database recorded paths."""

from crypto_checkout.store.database import WriteUnit

_AT_ONCE = 20_000


def fill(unit: WriteUnit, wallet_id: str, branch: str) -> bool:
    """Record the paths of some addresses of a wallet, those below `branch`; return whether there may be more.

    The highest indexes come first, so that the lowest one tells whether all are done.
    """
    tables = ("checkout_sessions", "unassigned_addresses")
    return any([_fill(unit, table, wallet_id, branch) for table in tables])  # noqa: C419 - each is to be filled


def _fill(unit: WriteUnit, table: str, wallet_id: str, branch: str) -> bool:
    lowest = unit.one(
        f"SELECT address_path FROM {table} WHERE wallet_id = :wallet_id ORDER BY derivation_index LIMIT 1",  # noqa: S608 - the two tables
        {"wallet_id": wallet_id},
    )
    if lowest is None or lowest["address_path"] is not None:
        return False
    unit.run(
        f"""
        UPDATE {table}
        SET address_path = :branch || '/' || derivation_index
        WHERE wallet_id = :wallet_id AND address_path IS NULL AND derivation_index > (
            SELECT derivation_index FROM {table}
            WHERE wallet_id = :wallet_id AND address_path IS NULL
            ORDER BY derivation_index DESC
            LIMIT 1
        ) - :most
        """,  # noqa: S608 - as above
        {"wallet_id": wallet_id, "branch": branch, "most": _AT_ONCE},
    )
    return True

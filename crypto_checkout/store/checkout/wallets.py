"""The next derivation index of each wallet. No index is given out twice."""

from crypto_checkout.core.address import Address
from crypto_checkout.store.database import ReadUnit, WriteUnit

_NEXT_INDEX = "SELECT next_index FROM wallets WHERE wallet_id = :wallet_id"


def take_index(unit: WriteUnit, wallet_id: str) -> int:
    """Take the wallet's next index; once the unit is committed, it is used up.

    Sessions that are made together look it up once, and store it once. Should it be another after all, the statement
    fails: no column takes a null. So does the session that would be the second with an index.
    """
    wallet = {"wallet_id": wallet_id}
    rows = unit.lookup(_NEXT_INDEX, wallet, table="wallets")
    index = int(rows[0][0]) if rows else 0
    unit.put_sum(
        """
        INSERT INTO wallets (wallet_id, next_index)
        VALUES (:wallet_id, :number)
        ON CONFLICT (wallet_id) DO UPDATE
        SET next_index = CASE WHEN wallets.next_index = :next_index THEN wallets.next_index + :number END
        """,
        wallet,
        {"next_index": index},
        table="wallets",
    )
    unit.looked_up(_NEXT_INDEX, wallet, [(index + 1,)], table="wallets")
    return index


def next_index(unit: ReadUnit, wallet_id: str) -> int:
    """Return the index that will be taken next."""
    row = unit.one(_NEXT_INDEX, {"wallet_id": wallet_id})
    return int(row["next_index"]) if row else 0


def next_indexes(unit: ReadUnit) -> dict[str, int]:
    """Return the next index of each wallet that has given out addresses."""
    return {row["wallet_id"]: row["next_index"] for row in unit.all("SELECT wallet_id, next_index FROM wallets")}


def given_out(unit: ReadUnit, wallet_id: str) -> list[tuple[int, Address]]:
    """Return all addresses that a wallet has given out, by index; those that the owner used before are left out."""
    rows = unit.all(
        """
        SELECT derivation_index, address FROM checkout_sessions WHERE wallet_id = :wallet_id
        UNION ALL
        SELECT derivation_index, address FROM unassigned_addresses WHERE wallet_id = :wallet_id AND used_before = 0
        ORDER BY derivation_index
        """,
        {"wallet_id": wallet_id},
    )
    return [(row["derivation_index"], Address(row["address"])) for row in rows]


def move_past(unit: WriteUnit, wallet_id: str, index: int) -> None:
    """Make sure that no index up to this one is taken again."""
    unit.run(
        """
        INSERT INTO wallets (wallet_id, next_index)
        VALUES (:wallet_id, :next)
        ON CONFLICT (wallet_id) DO UPDATE SET next_index = :next WHERE wallets.next_index < :next
        """,
        {"wallet_id": wallet_id, "next": index + 1},
    )

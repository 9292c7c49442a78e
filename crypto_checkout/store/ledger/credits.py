"""All payments recorded for addresses on a chain, matched or not, to be compared with the chain itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.store.database import ReadUnit, batched, placeholders


@dataclass(frozen=True, slots=True)
class Credit:
    """A payment of a canonical block to a session's address; `contract` is None for the native coin."""

    session_id: str
    contract: Address | None
    units: int
    block_number: int


def up_to(unit: ReadUnit, chain_id: int, number: int, session_ids: Sequence[str]) -> list[Credit]:
    """Return the payments to these sessions' addresses on a chain up to a block."""
    found: list[Credit] = []
    for part in batched(session_ids):
        names, parameters = placeholders(part)
        for table in ("payments", "unmatched_payments"):
            rows = unit.all(
                f"""
                SELECT session_id, contract, units, block_number
                FROM {table}
                WHERE session_id IN ({names}) AND +block_number <= :number AND +chain_id = :chain_id AND canonical = 1
                """,  # noqa: S608 - parameter names only; the plus keeps to the index by session
                {**parameters, "number": number, "chain_id": chain_id},
            )
            found += [Credit(row[0], None if row[1] is None else Address(row[1]), int(row[2]), row[3]) for row in rows]
    return found

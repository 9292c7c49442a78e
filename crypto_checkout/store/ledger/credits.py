"""Credits to addresses on a chain, both asked-for payments and unmatched ones: the chain must show the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.store.database import ReadUnit, Value, batched, placeholders

_PAYMENTS = """
    SELECT checkout_sessions.address, contract, units, block_number, tx_hash
    FROM checkout_sessions
    JOIN payments ON payments.session_id = checkout_sessions.id
    WHERE checkout_sessions.address IN ({names})
"""
_UNMATCHED = """
    SELECT address, contract, units, block_number, tx_hash FROM unmatched_payments WHERE address IN ({names})
"""


@dataclass(frozen=True, slots=True)
class Credit:
    """A payment in a canonical block to a watched address; `contract` is None for the native coin."""

    address: Address
    contract: Address | None
    units: int
    block_number: int


def up_to(unit: ReadUnit, chain_id: int, number: int, addresses: Sequence[Address]) -> list[Credit]:
    """Return the credits of these addresses on a chain up to a block."""
    return _found(unit, "AND +block_number <= :number", chain_id, addresses, {"number": number})


def coins(
    unit: ReadUnit, chain_id: int, addresses: Sequence[Address], *, up_to: int | None = None
) -> dict[Address, int]:
    """Return the sum of each address's credits in a chain's native coin, counted for a session or not, to a block."""
    sums = dict.fromkeys(addresses, 0)
    for credit in _found(unit, "AND contract IS NULL", chain_id, addresses, {}):
        if up_to is None or credit.block_number <= up_to:
            sums[credit.address] += credit.units
    return sums


def transactions(unit: ReadUnit, chain_id: int, addresses: Sequence[Address]) -> set[tuple[str, Address]]:
    """Return the hashes of the transactions whose transfers to these addresses are recorded, with their receivers."""
    found: set[tuple[str, Address]] = set()
    for part in batched(addresses):
        names, among = placeholders(part)
        for query, chain in ((_PAYMENTS, "payments.chain_id"), (_UNMATCHED, "chain_id")):
            rows = unit.all(
                f"{query.format(names=names)} AND +{chain} = :chain_id AND canonical = 1 AND tx_hash IS NOT NULL",
                {**among, "chain_id": chain_id},
            )
            found |= {(row["tx_hash"], Address(row["address"])) for row in rows}
    return found


def _found(
    unit: ReadUnit, condition: str, chain_id: int, addresses: Sequence[Address], parameters: dict[str, Value]
) -> list[Credit]:
    found: list[Credit] = []
    for part in batched(addresses):
        names, among = placeholders(part)
        for query, chain in ((_PAYMENTS, "payments.chain_id"), (_UNMATCHED, "chain_id")):
            rows = unit.all(
                # The plus keeps to the index by address or session.
                f"{query.format(names=names)} AND +{chain} = :chain_id AND canonical = 1 {condition}",
                {**among, **parameters, "chain_id": chain_id},
            )
            found += [
                Credit(Address(row[0]), None if row[1] is None else Address(row[1]), int(row[2]), row[3])
                for row in rows
            ]
    return found

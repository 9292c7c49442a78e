"""The owners of addresses to which money can come, and from which it can leave."""

from collections.abc import Collection, Mapping

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.store.checkout import sessions, unassigned
from crypto_checkout.store.database import Database, ReadUnit

Owner = Session | UnassignedAddress
"""The owner of an address: its session, or the address itself where no session has it."""


async def owners(db: Database, addresses: Collection[Address]) -> Mapping[Address, Owner]:
    """Return the sessions that own any of these addresses, on any chain, and the unassigned ones among them."""
    wanted = set(addresses)
    if not wanted:
        return {}

    def read(unit: ReadUnit) -> Mapping[Address, Owner]:
        found: dict[Address, Owner] = {**sessions.at_addresses(unit, wanted)}
        others = unassigned.at_addresses(unit, wanted - found.keys())
        return found | {each.address: each for each in others.values() if not each.used_before}

    return await db.read(read)

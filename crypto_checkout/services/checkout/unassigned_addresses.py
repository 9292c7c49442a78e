"""Record the wallet's addresses that no session has, so that money there is watched for like money for sessions.

They come from restores, which pass over what may have been given out since the copy, and from databases that lost
their newest sessions, as with a `-wal` file that was deleted.
"""

import asyncio
from collections.abc import Collection, Sequence

from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress, derivation_path
from crypto_checkout.services.checkout.payment_methods import Wallet
from crypto_checkout.store.checkout import unassigned
from crypto_checkout.store.database import Database

_AT_ONCE = 5_000


async def record(db: Database, wallet: Wallet, *, livemode: bool, used_before: int = 0) -> Sequence[int]:
    """Record each index below the wallet's next one that no session has; return those that weren't recorded yet.

    Indexes below `used_before` are the owner's own. Repeating is safe, also beside a running server.
    """
    missing = await db.read(lambda unit: unassigned.missing(unit, wallet.wallet_id))
    for start in range(0, len(missing), _AT_ONCE):
        part = missing[start : start + _AT_ONCE]
        # In a thread: 10,000 addresses take almost a second, without a native library a minute.
        derived = await asyncio.to_thread(derive, wallet, part, livemode, used_before)
        await db.write(lambda unit, derived=derived: unassigned.insert(unit, derived))  # type: ignore[misc]
    return missing


def derive(wallet: Wallet, indexes: Collection[int], livemode: bool, used_before: int = 0) -> list[UnassignedAddress]:
    """Derive addresses; the few indexes without a key (BIP-32) are left out."""
    derived = []
    for index in indexes:
        try:
            address = wallet.address(index)
        except ValueError:
            continue
        path = derivation_path(wallet.branch, index)
        derived.append(UnassignedAddress(wallet.wallet_id, index, address, livemode, index < used_before, path))
    return derived

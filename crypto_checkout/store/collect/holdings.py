"""The holdings of a mode's addresses: each address and asset that ever got money, with what came and what left.

A session's own payments are summed up on its row (`store.checkout.totals`), so only unmatched payments and outflows are
added up here. Provisional and orphaned payments are in none.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect.holdings import Holding
from crypto_checkout.store.collect import deposits
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.ledger import outflows

_KEY_BITS = 20
_OF_SESSIONS = 1 << 61


class _Account(NamedTuple):
    """One asset at one address."""

    chain_id: int
    address: str
    contract: Address | None


class _Place(NamedTuple):
    """An address's session and its place in the wallet; `first_key` is the lowest key of its holdings."""

    first_key: int
    session_id: str | None
    wallet_id: str
    number: int
    path: str | None


def read(unit: ReadUnit, livemode: bool, known: Mapping[tuple[int, Address | None], Asset]) -> list[Holding]:
    """Return all holdings of a mode, those of the newest sessions first, empty ones included.

    `known` are the configured assets by chain and contract; others are named as sessions did, or by their contract.
    """
    places: dict[str, _Place] = {}
    received: dict[_Account, int] = defaultdict(int)
    assets = {(chain_id, contract): asset for (chain_id, contract), asset in known.items()}
    _add_sessions(unit, livemode, places, received, assets)
    _add_unmatched(unit, livemode, places, received)
    left, wallets = _left(unit, livemode), deposits.recorded(unit)
    delegated = outflows.last_destinations(unit, livemode)
    found = [
        Holding(
            key=place.first_key + crc32(f"{account.chain_id} {account.contract}".encode()) % (1 << _KEY_BITS),
            address=Address(account.address),
            session_id=place.session_id,
            number=place.number,
            path=place.path,
            salt=wallets[place.wallet_id].salt(place.number) if place.wallet_id in wallets else None,
            asset=assets.get((account.chain_id, account.contract)) or _unknown(account),
            received=units,
            left=left.get(account, 0),
            destination=wallets[place.wallet_id].destination
            if place.wallet_id in wallets
            else delegated.get((account.chain_id, Address(account.address))),
        )
        for account, units in received.items()
        for place in (places[account.address],)
    ]
    return sorted(found, key=lambda each: -each.key)


def _add_sessions(
    unit: ReadUnit,
    livemode: bool,
    places: dict[str, _Place],
    received: dict[_Account, int],
    assets: dict[tuple[int, Address | None], Asset],
) -> None:
    rows = unit.all(
        """
        SELECT seq, id, wallet_id, derivation_index, address_path, address, chain_id, asset, asset_decimals,
            asset_contract, on_time_units, grace_units, late_units
        FROM checkout_sessions
        WHERE livemode = :livemode AND payment_count > 0
        """,
        {"livemode": int(livemode)},
    )
    for seq, session_id, wallet_id, index, path, address, chain_id, symbol, decimals, contract, *sums in rows:
        places[address] = _Place(_OF_SESSIONS + (seq << _KEY_BITS), session_id, wallet_id, index, path)
        received[_Account(chain_id, address, contract)] += sum(map(int, sums))
        if (chain_id, contract) not in assets:
            assets[chain_id, contract] = Asset(chain_id, symbol, decimals, contract)


def _add_unmatched(unit: ReadUnit, livemode: bool, places: dict[str, _Place], received: dict[_Account, int]) -> None:
    rows = unit.all(
        """
        SELECT unmatched.chain_id, unmatched.address, unmatched.contract, unmatched.units,
            own.seq, own.id, own.wallet_id, own.derivation_index, own.address_path,
            free.seq, free.wallet_id, free.derivation_index, free.address_path
        FROM unmatched_payments AS unmatched
        LEFT JOIN checkout_sessions AS own ON own.id = unmatched.session_id
        LEFT JOIN unassigned_addresses AS free ON free.address = unmatched.address
        WHERE unmatched.livemode = :livemode AND unmatched.canonical = 1 AND unmatched.provisional_balance IS NULL
        """,
        {"livemode": int(livemode)},
    )
    for chain_id, address, contract, units, *owner in rows:
        received[_Account(chain_id, address, contract)] += int(units)
        if address not in places:
            seq, session_id, *place = owner[:5]
            if session_id is not None:
                places[address] = _Place(_OF_SESSIONS + (seq << _KEY_BITS), session_id, *place)
            else:
                seq, *place = owner[5:]
                places[address] = _Place(seq << _KEY_BITS, None, *place)


def _left(unit: ReadUnit, livemode: bool) -> Mapping[_Account, int]:
    """Return what left each address of each asset, fees that it paid included."""
    rows = unit.all(
        "SELECT chain_id, address, contract, units FROM outflows WHERE livemode = :livemode AND canonical = 1",
        {"livemode": int(livemode)},
    )
    left: dict[_Account, int] = defaultdict(int)
    for chain_id, address, contract, units in rows:
        left[_Account(chain_id, address, contract)] += int(units)
    return left


def _unknown(account: _Account) -> Asset:
    """Return an asset that is no longer configured: a token is named by its contract, in smallest units."""
    if account.contract is None:
        return Asset(account.chain_id, "coin", 18)
    contract = Address(account.contract)
    return Asset(account.chain_id, checksum(contract), 0, contract)

"""Payment links for wallets, as EIP-681 writes them."""

from .address import Address, checksum
from .assets import Asset


def payment_uri(asset: Asset, to: Address, units: int) -> str:
    """Return the EIP-681 URI that asks a wallet to send `units` of an asset to an address."""
    if asset.contract is None:
        return f"ethereum:{checksum(to)}@{asset.chain_id}?value={units}"
    return f"ethereum:{checksum(asset.contract)}@{asset.chain_id}/transfer?address={checksum(to)}&uint256={units}"

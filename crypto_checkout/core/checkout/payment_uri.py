"""Payment URIs for wallets (EIP-681), and the transaction that one requests."""

import re
from dataclasses import dataclass

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset

_COIN = re.compile(r"ethereum:(?P<to>0x[0-9a-fA-F]{40})@(?P<chain>[0-9]+)\?value=(?P<units>[0-9]+)")
_TOKEN = re.compile(
    r"ethereum:(?P<contract>0x[0-9a-fA-F]{40})@(?P<chain>[0-9]+)/transfer"
    r"\?address=(?P<to>0x[0-9a-fA-F]{40})&uint256=(?P<units>[0-9]+)"
)
_TRANSFER = "0xa9059cbb"
"""The selector of ERC-20's `transfer(address,uint256)`."""


@dataclass(frozen=True, slots=True)
class TransactionRequest:
    """A transaction to send: the receiver, the wei as a hex quantity, and the data of a contract call."""

    chain_id: int
    to: str
    value: str
    data: str


def payment_uri(asset: Asset, to: Address, units: int) -> str:
    """Return the EIP-681 URI that asks a wallet to send `units` of an asset to an address."""
    if asset.contract is None:
        return f"ethereum:{checksum(to)}@{asset.chain_id}?value={units}"
    return f"ethereum:{checksum(asset.contract)}@{asset.chain_id}/transfer?address={checksum(to)}&uint256={units}"


def transaction_request(uri: str) -> TransactionRequest:
    """Return the transaction that a URI of `payment_uri` requests, so that the two always agree.

    Raises:
        ValueError: The text is no such URI.

    """
    if coin := _COIN.fullmatch(uri):
        return TransactionRequest(int(coin["chain"]), coin["to"], hex(int(coin["units"])), "0x")
    if token := _TOKEN.fullmatch(uri):
        recipient = token["to"][2:].lower().rjust(64, "0")
        return TransactionRequest(
            int(token["chain"]), token["contract"], "0x0", f"{_TRANSFER}{recipient}{int(token['units']):064x}"
        )
    raise ValueError(f"not a payment URI of ours: {uri[:100]!r}")

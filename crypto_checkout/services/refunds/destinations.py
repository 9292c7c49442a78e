"""Addresses that no refund may go to: money sent there would be lost, or come back to the shop."""

from crypto_checkout.core.address import Address, parse
from crypto_checkout.core.collect import contracts
from crypto_checkout.services.checkout.payment_methods import AcceptedChains, ChainsByMode
from crypto_checkout.store.checkout import sessions, unassigned
from crypto_checkout.store.database import ReadUnit

_RESERVED = 2**16
"""Addresses below are the zero address, precompiled contracts, and others that nobody has the key of."""


class WrongDestination(ValueError):
    """Money must not be refunded to this address; the message says why, `cause` names the reason for pages."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def read(text: str) -> Address:
    """Read an address. Raises WrongDestination for one with a wrong form or checksum."""
    try:
        return parse(text.strip())
    except ValueError as error:
        raise WrongDestination("malformed", str(error)) from None


def check(unit: ReadUnit, chains: ChainsByMode[AcceptedChains], chain_id: int, address: Address) -> None:
    """Refuse the zero address, tokens' contracts and our own addresses. Raises WrongDestination."""
    if int(address, 16) < _RESERVED:
        raise WrongDestination("reserved", "nobody has the key of this address")
    accepted = {asset.contract for chain in chains.all_chains().values() for asset in chain.assets}
    if address in accepted | {asset.contract for asset in sessions.tokens(unit, chain_id)}:
        raise WrongDestination("token", "this is the contract of a token: money sent there is lost")
    if sessions.at_addresses(unit, [address]) or unassigned.at_addresses(unit, [address]) or address in _OURS:
        raise WrongDestination("ours", "this is one of the shop's own addresses")


_OURS = frozenset({contracts.FORWARDER.address, contracts.COLLECTOR.address})

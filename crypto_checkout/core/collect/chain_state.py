"""A chain as plans to collect need it: accounts, fees, calls to be estimated, and transactions in blocks."""

from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed


@dataclass(frozen=True, slots=True)
class ChainAccount:
    """An account at the newest block: its transaction count, and its code in lower-case hexadecimal with 0x."""

    nonce: int
    code: str


@dataclass(frozen=True, slots=True)
class CurrentFees:
    """The newest block's base fee, and the median tip of late, in wei for a unit of gas (EIP-1559)."""

    base: int
    tip: int


@dataclass(frozen=True, slots=True)
class CallMessage:
    """A call to be estimated."""

    sender: Address
    to: Address
    value: int = 0
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class FuelCall:
    """A call of the Collector that the server's fuel key may sign; fees as in EIP-1559, in wei for a unit of gas."""

    chain_id: int
    nonce: int
    data: bytes
    gas: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int

    def tip_at(self, base: int) -> int:
        """Return what it leaves to a block's maker at a base fee; negative if it can't be in that block."""
        return min(self.max_priority_fee_per_gas, self.max_fee_per_gas - base)


@dataclass(frozen=True, slots=True)
class SentReceipt:
    """A transaction in a block, with its fee in wei.

    `emptied` are the (address, token) pairs that it moved, with `calls.COIN` for the coin.
    """

    block_number: int
    has_succeeded: bool
    fee: int
    emptied: frozenset[tuple[Address, Address]]


class NotAccepted(ProviderFailed):
    """The nodes don't take a transaction; the message has their words."""

    cause = "its nodes don't take the transaction"

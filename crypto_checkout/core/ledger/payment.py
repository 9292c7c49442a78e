"""One transfer to a session's address, as the chain shows it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from crypto_checkout.core.address import Address


class TransferKind(StrEnum):
    """How the money moved."""

    NATIVE = "native"
    INTERNAL = "internal"
    TOKEN = "token"  # noqa: S105 - an ERC-20 token, not a secret


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that arrived at an address in a block; `tx_hash` is None where the transaction couldn't be named.

    `contract` is the token's address, None for the native coin. `units` are the asset's smallest. An internal transfer
    without a transaction was concluded from a balance: `provisional_balance` is that reading, until it has been read
    again with a later block there.
    """

    to: Address
    sender: Address | None
    units: int
    kind: TransferKind
    contract: Address | None
    tx_hash: str | None
    log_index: int | None
    block_number: int
    block_hash: str
    block_time: datetime
    provisional_balance: int | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """A transfer recorded for a session; `canonical` turns False when its block is orphaned."""

    transfer: Transfer
    canonical: bool = True

    @property
    def is_provisional(self) -> bool:
        """Whether one reading of a balance is all that shows it: it is seen, and doesn't count yet."""
        return self.transfer.provisional_balance is not None

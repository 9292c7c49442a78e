"""Transfers to the addresses of sessions, as the chain shows them, and payments, as the ledger records them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from crypto_checkout.core.address import Address


class TransferKind(StrEnum):
    """The ways to move money: a transaction's own value, a contract's call, or a token's transfer."""

    NATIVE = "native"
    INTERNAL = "internal"
    TOKEN = "token"  # noqa: S105 - an ERC-20 token, not a secret


class Proof(StrEnum):
    """A check of a transfer against the hash of its block; `unprovable` if that can't be recomputed here."""

    PROVEN = "proven"
    UNPROVABLE = "unprovable"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that arrived at an address in a block; `tx_hash` is None if no node could name the transaction.

    `contract` is the token's address, None for the native coin. `units` are the asset's smallest units. An internal
    transfer without a transaction is deduced from a balance: `provisional_balance` is that reading, until it has been
    repeated with a later block present; one with a log is what an address says was collected from it, of the coin or of
    a token, and only ever read as that. `proof` and the number of providers `agreeing` say why it was believed, None
    where that wasn't recorded; they don't make it another transfer.
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
    proof: Proof | None = field(default=None, compare=False)
    agreeing: int | None = field(default=None, compare=False)

    @property
    def is_in_block(self) -> bool:
        """True if the block's transactions and logs show it; other internal ones show in balances and traces only."""
        return self.kind is not TransferKind.INTERNAL or self.log_index is not None


@dataclass(frozen=True, slots=True)
class Payment:
    """A transfer recorded for a session; `canonical` turns False when its block is orphaned.

    `dust` is None for a single transfer. Otherwise the payment is the sum of that many transfers of one block, each
    too small to be recorded on its own (`core.ledger.dust`); it has neither a transaction nor a sender.
    """

    transfer: Transfer
    canonical: bool = True
    dust: int | None = None

    @property
    def is_provisional(self) -> bool:
        """True while a single reading of a balance is its only evidence: it is shown, but doesn't count yet."""
        return self.transfer.provisional_balance is not None


@dataclass(frozen=True, slots=True)
class ShownPayments:
    """The payments that a session shows, in chain order: in canonical blocks, the newest hundred, single ones first.

    `tx_hash` is the transaction of the first single payment that counts, `newest_block` the block of the last one,
    both None without any. Dust has no transaction, and doesn't make a session look less deep than its payments are.
    `confirmed_units` is the sum of all payments in deep blocks, on time or late.
    """

    newest: tuple[Payment, ...] = ()
    tx_hash: str | None = None
    newest_block: int | None = None
    confirmed_units: int = 0


MOST_SHOWN = 100
"""The number of payments that a session shows. Its sums include all, and lists of payments go on to the others."""

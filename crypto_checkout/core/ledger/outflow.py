"""Outflows: money that left one of our addresses, whoever moved it. No session's status depends on them.

An outflow is known by its log: `Collected` of an address with code (`core.collect`), or a token's `Transfer`. Coins can
leave without one: by the address's own transaction, whose value and fee are two outflows, or unseen, which only a lower
balance shows. These have numbers below zero in place of an index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

VALUE = -1
FEE = -2
UNSEEN = -3


@dataclass(frozen=True, slots=True)
class Outflow:
    """An amount of one asset that left an address in a block.

    `log_index` is the place of its log in the block, or one of the numbers above. `destination` is None for a fee, and
    where it is unknown; `tx_hash` is None for what left unseen. `is_collected` if the address itself logged it.
    """

    address: Address
    contract: Address | None
    units: int
    destination: Address | None
    tx_hash: str | None
    log_index: int
    block_number: int
    block_hash: str
    block_time: datetime
    is_collected: bool = False

    @property
    def key(self) -> tuple[str, Address, Address | None, int]:
        """The features that two readings of it share."""
        return (self.tx_hash or self.block_hash, self.address, self.contract, self.log_index)


@dataclass(frozen=True, slots=True)
class OwnTransaction:
    """The cost of a transaction to the address that sent it: the value sent to another, and the fee.

    The fee is what it should be. Where it can be paid in a token, or by somebody else, it may not have been taken.
    """

    sender: Address
    tx_hash: str
    destination: Address | None
    value: int
    fee: int

    @property
    def units(self) -> int:
        """The value and the fee together."""
        return self.value + self.fee

    def outflows(self, header: Header) -> list[Outflow]:
        """Return what left by it in its block."""
        parts = ((VALUE, self.value, self.destination), (FEE, self.fee, None))
        return [
            Outflow(self.sender, None, units, to, self.tx_hash, log_index, header.number, header.hash, header.time)
            for log_index, units, to in parts
            if units
        ]


def of_log(transfer: Transfer) -> Outflow:
    """Return what left by a log: a token's transfer, or `Collected`, which is internal and names the token."""
    assert transfer.sender is not None, "a log names the sender"
    assert transfer.log_index is not None, "a log has an index"
    return Outflow(
        address=transfer.sender,
        contract=transfer.contract,
        units=transfer.units,
        destination=transfer.to,
        tx_hash=transfer.tx_hash,
        log_index=transfer.log_index,
        block_number=transfer.block_number,
        block_hash=transfer.block_hash,
        block_time=transfer.block_time,
        is_collected=transfer.kind is TransferKind.INTERNAL,
    )


def unseen(header: Header, address: Address, units: int) -> Outflow:
    """Return coins that left by a block without a transaction or log to show it."""
    return Outflow(address, None, units, None, None, UNSEEN, header.number, header.hash, header.time)


def without_repetitions(outflows: Sequence[Outflow]) -> list[Outflow]:
    """Return each outflow once. What an address logs of a token stands for the token's own logs in that transaction."""
    found = {each.key: each for each in outflows}
    collected = {(each.tx_hash, each.address, each.contract) for each in found.values() if each.is_collected}
    return [
        each
        for each in found.values()
        if each.is_collected or each.contract is None or (each.tx_hash, each.address, each.contract) not in collected
    ]


def lowered(outflow: Outflow, units: int) -> Outflow:
    """Return an outflow that was smaller by an amount."""
    return replace(outflow, units=outflow.units - units)

"""Expected balances in the native coin, and the payments that explain higher ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.outflow import FEE, Outflow, OwnTransaction, lowered, unseen
from crypto_checkout.core.ledger.payment import Transfer, TransferKind


@dataclass(frozen=True, slots=True)
class UnexplainedChange:
    """An unexplained change of an address's balance, in smallest units.

    It came in the block of `header`, or where states are missing, in one of those after the block `after`.
    """

    header: Header
    units: int
    after: int


@dataclass(frozen=True, slots=True)
class ExpectedBalances:
    """Balances at a block, `start`, and their known changes in later ones, by address and block number.

    `senders` are the addresses that sent transactions, with the fees by block: only their balances can fall unseen.
    `outflows` are the reasons of all that falls here.
    """

    start: Mapping[Address, int]
    changes: dict[Address, dict[int, int]] = field(default_factory=dict)
    senders: dict[Address, dict[int, int]] = field(default_factory=dict)
    outflows: list[Outflow] = field(default_factory=list)

    def add(self, address: Address, number: int, units: int) -> None:
        """Record a change in a block, positive or negative; an address that isn't watched is ignored."""
        if address in self.start:
            by_block = self.changes.setdefault(address, {})
            by_block[number] = by_block.get(number, 0) + units

    def leave(self, outflow: Outflow) -> None:
        """Record coins that left an address."""
        if outflow.address in self.start:
            self.add(outflow.address, outflow.block_number, -outflow.units)
            self.outflows.append(outflow)

    def spend(self, header: Header, transaction: OwnTransaction) -> None:
        """Record the cost of an address's own transaction in a block."""
        for outflow in transaction.outflows(header):
            self.leave(outflow)
        fees = self.senders.setdefault(transaction.sender, {})
        fees[header.number] = fees.get(header.number, 0) + transaction.fee

    def explain(self, address: Address, change: UnexplainedChange) -> None:
        """Record a change that nothing explains: coins that left unseen, or fees that weren't taken, or money."""
        if change.units < 0:
            self.leave(unseen(change.header, address, -change.units))
            return
        self.add(address, change.header.number, change.units)
        if self.is_payment(address, change):
            return
        left = change.units
        for place, each in enumerate(self.outflows):
            is_in_time = change.after < each.block_number <= change.header.number
            if each.address == address and each.log_index == FEE and is_in_time:
                untaken = min(left, each.units)
                self.outflows[place], left = lowered(each, untaken), left - untaken

    def is_payment(self, address: Address, change: UnexplainedChange) -> bool:
        """Tell whether a change is money that came: a rise, and more than fees that may not have been taken."""
        fees = self.senders.get(address, {})
        return change.units > sum(fee for block, fee in fees.items() if change.after < block <= change.header.number)

    def expected(self, address: Address, number: int) -> int:
        """Return the expected balance of an address after a block."""
        by_block = self.changes.get(address)
        if by_block is None:  # of thousands that are compared, nearly all
            return self.start[address]
        return self.start[address] + sum(units for block, units in by_block.items() if block <= number)


def net_rise(changes: Sequence[UnexplainedChange]) -> list[UnexplainedChange]:
    """Return the sum of all changes, dated to the block of the last rise; empty unless it is a rise."""
    units = sum(change.units for change in changes)
    last = next((change for change in reversed(changes) if change.units > 0), None)
    return [replace(last, units=units)] if last is not None and units > 0 else []


def internal_transfers(
    header: Header, arrived: Mapping[Address, int], traced: Sequence[Transfer], held: Mapping[Address, int]
) -> list[Transfer]:
    """Return the internal transfers of a block, which add up to exactly the amount that arrived at each address.

    `traced` are those that a node could name; if they add up to more than arrived, none of them is believed. The rest
    (a block's reward, a withdrawal) has no transaction and is provisional: `held` is the reading of the balances from
    which it was deduced.
    """
    found = []
    for address, units in arrived.items():
        named = [transfer for transfer in traced if transfer.to == address]
        if sum(transfer.units for transfer in named) > units:
            named = []
        rest = units - sum(transfer.units for transfer in named)
        found += [*named, *([_unnamed(header, address, rest, held[address])] if rest else [])]
    return found


def _unnamed(header: Header, address: Address, units: int, held: int) -> Transfer:
    return Transfer(
        to=address,
        sender=None,
        units=units,
        kind=TransferKind.INTERNAL,
        contract=None,
        tx_hash=None,
        log_index=None,
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.time,
        provisional_balance=held,
    )

"""Expected balances in the native coin, and the payments that explain higher ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.follow import Header
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
class Cost:
    """The cost of transactions to their sender: the value sent to others, and the fee.

    The fee is what it should be. Where it can be paid in a token, or by somebody else, it may not have been taken.
    """

    value: int = 0
    fee: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Add up two costs of one sender."""
        return Cost(self.value + other.value, self.fee + other.fee)

    @property
    def units(self) -> int:
        """The value and the fee together."""
        return self.value + self.fee


@dataclass(frozen=True, slots=True)
class ExpectedBalances:
    """Balances at a block, `start`, and their known changes in later ones, by address and block number.

    `senders` are the addresses that sent transactions, with the fees by block: only their balances can fall.
    """

    start: Mapping[Address, int]
    changes: dict[Address, dict[int, int]] = field(default_factory=dict)
    senders: dict[Address, dict[int, int]] = field(default_factory=dict)

    def add(self, address: Address, number: int, units: int) -> None:
        """Record a change in a block, positive or negative; an address that isn't watched is ignored."""
        if address in self.start:
            by_block = self.changes.setdefault(address, {})
            by_block[number] = by_block.get(number, 0) + units

    def spend(self, address: Address, number: int, cost: Cost) -> None:
        """Record the cost of an address's own transactions in a block."""
        self.add(address, number, -cost.units)
        self.senders.setdefault(address, {})[number] = cost.fee

    def is_payment(self, address: Address, change: UnexplainedChange) -> bool:
        """Tell whether a change is money that came: a rise, and more than fees that may not have been taken."""
        fees = self.senders.get(address, {})
        return change.units > sum(fee for block, fee in fees.items() if change.after < block <= change.header.number)

    def expected(self, address: Address, number: int) -> int:
        """Return the expected balance of an address after a block."""
        by_block = self.changes.get(address, {})
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

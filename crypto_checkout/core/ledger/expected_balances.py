"""What addresses should hold of the native coin, by all that is known, and what it means when they hold more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind


@dataclass(frozen=True, slots=True)
class UnexplainedChange:
    """A change of an address's balance in one block that nothing known explains, in the smallest units."""

    header: Header
    units: int


@dataclass(frozen=True, slots=True)
class ExpectedBalances:
    """What addresses held at a block, `start`, and how that changed in later ones, by address and block number.

    `senders` are those that sent transactions themselves: only their balances can fall.
    """

    start: Mapping[Address, int]
    changes: dict[Address, dict[int, int]] = field(default_factory=dict)
    senders: set[Address] = field(default_factory=set)

    def add(self, address: Address, number: int, units: int) -> None:
        """Note what came to an address in a block, or went; an address that nobody watches is passed over."""
        if address in self.start:
            by_block = self.changes.setdefault(address, {})
            by_block[number] = by_block.get(number, 0) + units

    def expected(self, address: Address, number: int) -> int:
        """Return what an address should hold after a block."""
        by_block = self.changes.get(address, {})
        return self.start[address] + sum(units for block, units in by_block.items() if block <= number)


def net_rise(jumps: Sequence[UnexplainedChange]) -> list[UnexplainedChange]:
    """Return what an address holds more after all of its jumps, in the block of its last rise; nothing where less."""
    units = sum(jump.units for jump in jumps)
    last = next((jump.header for jump in reversed(jumps) if jump.units > 0), None)
    return [UnexplainedChange(last, units)] if last is not None and units > 0 else []


def internal_transfers(
    header: Header, arrived: Mapping[Address, int], traced: Sequence[Transfer], held: Mapping[Address, int]
) -> list[Transfer]:
    """Return the internal transfers of a block, in all exactly what arrived at each address.

    What no trace names is provisional: `held` is the reading of the balances that it was concluded from.

    `traced` are those that a node could name. What is left (a block's reward, a withdrawal) has no transaction; and
    where they make more than what arrived, none is believed.
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

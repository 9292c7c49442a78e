"""What watched addresses should hold of the native coin, in groups whose fingerprints say whether anything changed.

A node answers with one fingerprint for a whole group (`chain.evm.balances`): what it takes to see that nobody was paid
doesn't grow with every address. Equal fingerprints mean equal balances, all of them; for others the group is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.ledger.expected_balances import ExpectedBalances

MOST_TOGETHER = 2400
"""Addresses in one group: code and addresses of one call have at most 49,152 bytes (EIP-3860)."""


_WORD = 2**256


@dataclass(frozen=True, slots=True)
class ExpectedGroup:
    """A group of addresses, and the fingerprint of what they should hold at some block."""

    addresses: Sequence[Address]
    fingerprint: bytes


def fingerprint(units: Sequence[int]) -> bytes:
    """Return the Keccak-256 of balances in their order, 32 bytes each.

    What no balance can be, such as less than nothing, is written as one that nobody has: no fingerprint is like it.
    """
    return keccak_256(b"".join([(each % _WORD).to_bytes(32) for each in units]))


@dataclass(slots=True)
class _AddressGroup:
    """Addresses that are compared together; `fingerprint` is None where it has to be made anew."""

    addresses: dict[Address, None] = field(default_factory=dict)
    fingerprint: bytes | None = None


class BalanceGroups:
    """Addresses and what each should hold, in the smallest units: `units`, for reading."""

    def __init__(self) -> None:
        self.units: dict[Address, int] = {}
        self._groups: list[_AddressGroup] = []
        self._group_of: dict[Address, _AddressGroup] = {}

    def set(self, address: Address, units: int) -> None:
        """Note what an address should hold, a new one or one that is known."""
        group = self._group_of.get(address)
        if group is None:
            group = self._group_of[address] = self._roomy()
            group.addresses[address] = None
        group.fingerprint = None
        self.units[address] = units

    def drop(self, address: Address) -> None:
        """Forget an address."""
        group = self._group_of.pop(address)
        del group.addresses[address], self.units[address]
        group.fingerprint = None
        if MOST_TOGETHER * len(self._groups) > 2 * (len(self.units) + MOST_TOGETHER):
            self._group_again()

    def expected(self, ledger: ExpectedBalances, number: int) -> Iterator[ExpectedGroup]:
        """Yield each group with the fingerprint of what it should hold after a block, by what the ledger knows."""
        moved = {id(self._group_of[address]) for address in ledger.changes}
        for group in self._groups:
            addresses = [*group.addresses]
            if id(group) in moved:
                yield ExpectedGroup(addresses, fingerprint([ledger.expected(address, number) for address in addresses]))
                continue
            if group.fingerprint is None:
                group.fingerprint = fingerprint([self.units[address] for address in addresses])
            yield ExpectedGroup(addresses, group.fingerprint)

    def _group_again(self) -> None:
        """Put what is left of half-empty groups together."""
        self._groups, self._group_of = [], {}
        for address, units in self.units.items():
            self.set(address, units)

    def _roomy(self) -> _AddressGroup:
        """Return a group that takes one more address."""
        for group in reversed(self._groups):
            if len(group.addresses) < MOST_TOGETHER:
                return group
        self._groups.append(_AddressGroup())
        return self._groups[-1]

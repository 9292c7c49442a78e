"""Expected balances of watched addresses in the native coin, in groups with a fingerprint each.

A node answers with one fingerprint for a whole group (`chain.evm.balances`), so finding out that no address was paid
costs little. Equal fingerprints mean that all balances are equal; for a different one the group's balances are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.ledger.expected_balances import ExpectedBalances

MOST_TOGETHER = 2400
"""Addresses in one group: the code and addresses of one call have at most 49,152 bytes (EIP-3860)."""


_WORD = 2**256


@dataclass(frozen=True, slots=True)
class ExpectedGroup:
    """A group of addresses, and the fingerprint of their expected balances at some block."""

    addresses: tuple[Address, ...]
    fingerprint: bytes


def fingerprint(units: Sequence[int]) -> bytes:
    """Return the Keccak-256 of balances in their order, 32 bytes each.

    An impossible balance, such as a negative one, wraps around to one that no address has, so nothing matches it.
    """
    return keccak_256(b"".join([(each % _WORD).to_bytes(32) for each in units]))


@dataclass(slots=True)
class _AddressGroup:
    """Addresses that are compared together; what was made of them is None until it is made again."""

    addresses: dict[Address, None] = field(default_factory=dict)
    listed: tuple[Address, ...] | None = None
    expected: ExpectedGroup | None = None

    def members(self) -> tuple[Address, ...]:
        """Return the addresses: the same object until one comes or goes."""
        if self.listed is None:
            self.listed = tuple(self.addresses)
        return self.listed


class BalanceGroups:
    """The expected balance of each address, in smallest units; `units` is for reading only."""

    def __init__(self) -> None:
        self.units: dict[Address, int] = {}
        self._groups: list[_AddressGroup] = []
        self._group_of: dict[Address, _AddressGroup] = {}

    def set(self, address: Address, units: int) -> None:
        """Set the expected balance of an address, new or known."""
        group = self._group_of.get(address)
        if group is None:
            group = self._group_of[address] = self._roomy()
            group.addresses[address] = group.listed = None
        group.expected = None
        self.units[address] = units

    def add(self, balances: Mapping[Address, int]) -> None:
        """Set the expected balances of new addresses, as `set` does, in a fifth of the time."""
        assert self._group_of.keys().isdisjoint(balances), "each address is in one group"
        new, place = list(balances), 0
        while place < len(new):
            group = self._roomy()
            some = new[place : place + MOST_TOGETHER - len(group.addresses)]
            group.addresses.update(dict.fromkeys(some))
            group.listed = group.expected = None
            self._group_of.update(dict.fromkeys(some, group))
            place += len(some)
        self.units.update(balances)

    def drop(self, address: Address) -> None:
        """Forget an address."""
        group = self._group_of.pop(address)
        del group.addresses[address], self.units[address]
        group.listed = group.expected = None
        if MOST_TOGETHER * len(self._groups) > 2 * (len(self.units) + MOST_TOGETHER):
            self._group_again()

    def expected(self, ledger: ExpectedBalances, number: int) -> Iterator[ExpectedGroup]:
        """Yield each group with the fingerprint of its expected balances after a block."""
        moved = {id(self._group_of[address]) for address in ledger.changes}
        for group in self._groups:
            addresses = group.members()
            if id(group) in moved:
                yield ExpectedGroup(addresses, fingerprint([ledger.expected(address, number) for address in addresses]))
                continue
            if group.expected is None:
                group.expected = ExpectedGroup(addresses, fingerprint([self.units[each] for each in addresses]))
            yield group.expected

    def _group_again(self) -> None:
        """Merge half-empty groups."""
        self._groups, self._group_of = [], {}
        self.add(self.units)

    def _roomy(self) -> _AddressGroup:
        """Return a group with room for one more address."""
        for group in reversed(self._groups):
            if len(group.addresses) < MOST_TOGETHER:
                return group
        self._groups.append(_AddressGroup())
        return self._groups[-1]

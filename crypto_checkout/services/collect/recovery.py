"""Find money at deposits without any database, from the destination, the label and the numbers of the deposits.

For the day the database is lost. It asks the chain for balances alone, so it finds what is there now, whenever it came.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.batches import MOST_IN_ONE
from crypto_checkout.core.collect.contracts import COLLECTOR
from crypto_checkout.core.collect.deposits import Deposits, salt
from crypto_checkout.core.ledger.follow import Head, Header

_AT_ONCE = 500


class DepositBalances(Protocol):
    """A chain that shows balances and tries calls; `chain.evm.chain` implements it."""

    async def head(self) -> Head:
        """Return the newest block number."""

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return balances of the coin."""

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return balances of a token."""

    async def read_contract(self, contract: str, data: str) -> bytes:
        """Return a contract's answer to a call."""


@dataclass(frozen=True, slots=True)
class DepositFound:
    """An amount that lies at a deposit."""

    index: int
    address: Address
    asset: Asset
    units: int


@dataclass(frozen=True, slots=True)
class RecoveryTransaction:
    """A transaction that collects: `data` is its calldata for the Collector, `moves` how many amounts it would move."""

    data: bytes
    items: tuple[DepositFound, ...]
    moves: int


async def find(
    chain: DepositBalances, deposits: Deposits, assets: Sequence[Asset], *, least: int, empty: int
) -> list[DepositFound]:
    """Look at all deposits below number `least`, and further until `empty` in a row have nothing.

    Raises RecoverableError.
    """
    found: list[DepositFound] = []
    start, last = 0, -1
    while start < max(least, last + 1 + empty):
        # In a thread: 500 addresses take some milliseconds of arithmetic.
        addresses = await asyncio.to_thread(_addresses, deposits, start)
        (newest,) = await chain.headers([(await chain.head()).number])
        for asset in assets:
            held = await _held(chain, newest, asset, addresses)
            here = [(start + n, each) for n, each in enumerate(addresses) if held[each]]
            found += [DepositFound(index, each, asset, held[each]) for index, each in here]
            last = max([last, *(index for index, _ in here)])
        start += _AT_ONCE
    return sorted(found, key=lambda each: (each.index, each.asset.symbol))


async def transactions(
    chain: DepositBalances, deposits: Deposits, found: Sequence[DepositFound]
) -> list[RecoveryTransaction]:
    """Make the transactions that collect what was found, and try each without sending it. Raises RecoverableError."""
    made = []
    for part in _parts(found):
        data = calls.collect(deposits.destination, _salts(part, deposits.label))
        answer = await chain.read_contract(COLLECTOR.address, "0x" + data.hex())
        made.append(RecoveryTransaction(data, tuple(part), int.from_bytes(answer)))
    return made


def _addresses(deposits: Deposits, first: int) -> list[Address]:
    return [deposits.address(index) for index in range(first, first + _AT_ONCE)]


async def _held(
    chain: DepositBalances, header: Header, asset: Asset, addresses: Sequence[Address]
) -> dict[Address, int]:
    if asset.contract is None:
        return await chain.balances(header, addresses)
    return await chain.token_balances(header, asset.contract, addresses)


def _parts(found: Sequence[DepositFound]) -> Iterator[Sequence[DepositFound]]:
    for start in range(0, len(found), MOST_IN_ONE):
        yield found[start : start + MOST_IN_ONE]


def _salts(found: Sequence[DepositFound], label: str) -> Mapping[Address, Sequence[bytes]]:
    salts: dict[Address, list[bytes]] = {}
    for each in found:
        salts.setdefault(each.asset.contract or calls.COIN, []).append(salt(each.index, label))
    return salts

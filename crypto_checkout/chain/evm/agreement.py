"""Agreement of several providers before money is believed. Each is read by itself.

Where too few providers agree, these functions raise ProviderFailed; only `balances_of_all` returns what is agreed.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from typing import Protocol

from crypto_checkout.chain.evm import balances, decoding
from crypto_checkout.chain.rpc.providers import Ask, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.outflow import OwnTransaction
from crypto_checkout.core.ledger.payment import Transfer


class TransferReader(Protocol):
    """Reads the transfers of a block from one provider, without those that reverted."""

    def __call__(self, ask: Ask, *, number: int) -> Awaitable[AbstractSet[Transfer]]:
        """Return the transfers. Raises ProviderFailed."""


async def on_transfers(rpc: Rpc, transfers: Sequence[Transfer], providers: int, read: TransferReader) -> None:
    """Require `providers` of them to show each of these transfers; traced ones pass, because few nodes trace."""
    for number in sorted({transfer.block_number for transfer in transfers}):
        in_block = [t for t in transfers if t.block_number == number and t.is_in_block]
        reports = await rpc.survey(partial(read, number=number)) if in_block else []
        shown = Counter(transfer for report in reports for transfer in report)
        for transfer in in_block:
            _check(shown[transfer], providers, f"payment {transfer.tx_hash} in block {number}")


async def on_balances(rpc: Rpc, header: Header, held: Mapping[Address, int], providers: int) -> None:
    """Require `providers` of them to report exactly these balances at a block."""
    addresses = [*held]
    reports = await rpc.survey(lambda ask: balances.at(ask, header, addresses))
    for address, units in held.items():
        same = sum(report[address] == units for report in reports)
        _check(same, providers, f"the balance of {address} at block {header.number}")


ReadBalances = Callable[[Ask, Header, Sequence[Address]], Awaitable[dict[Address, int]]]
"""Provider, block, addresses -> their balances there, of the coin or of a token. Raises ProviderFailed."""


async def balances_of_all(
    rpc: Rpc, header: Header, addresses: Sequence[Address], providers: int, read: ReadBalances = balances.at
) -> dict[Address, int]:
    """Return the balances on which all providers that answer agree; none if fewer than `providers` answer.

    Raises:
        StateUnavailable: No provider has the state of the block.
        ProviderFailed: No provider answers.

    """
    reports = await rpc.survey(lambda ask: read(ask, header, addresses))
    if not reports:
        reports = [await rpc.with_failover(lambda ask: read(ask, header, addresses))]
    if len(reports) < providers:
        return {}
    first = reports[0]
    return {each: first[each] for each in addresses if all(report[each] == first[each] for report in reports)}


async def no_contradiction(
    rpc: Rpc, header: Header, held: Mapping[Address, int], known: Mapping[Address, int], providers: int
) -> None:
    """Require `providers` of them to report these balances; for a balance as `known`, fewer if fewer answer.

    So an unreachable provider doesn't hold up a balance that the ledger knows, while one that contradicts it does.
    """
    addresses = [*held]
    reports = await rpc.survey(lambda ask: balances.at(ask, header, addresses))
    for address, units in held.items():
        same = sum(report[address] == units for report in reports)
        needed = min(providers, len(reports)) if units == known[address] else providers
        _check(same, needed, f"the balance of {address} at block {header.number}")


async def spent(rpc: Rpc, header: Header, addresses: Collection[Address]) -> list[OwnTransaction]:
    """Return the transactions of senders in a block that all providers show which answer, each with its lowest fee.

    Less is expected for them, so that one which a single provider invents would make up a payment. One that is left out
    shows by a lower balance. Raises ProviderFailed if no provider answers.
    """

    async def read(ask: Ask) -> list[OwnTransaction]:
        return await balances.spent(ask, header, addresses)

    first, *others = await rpc.survey(read) or [await rpc.with_failover(read)]
    found = []
    for each in first:
        same = [[other for other in report if replace(other, fee=each.fee) == each] for report in others]
        if all(same):
            found.append(replace(each, fee=min([each.fee, *(other.fee for report in same for other in report)])))
    return found


async def on_block(rpc: Rpc, header: Header, providers: int) -> None:
    """Require `providers` of them to show this block, and with it all blocks below.

    If more show another block in its place, the preferred provider rests: it follows an abandoned branch.
    """

    async def shown(ask: Ask) -> str | None:
        (block,) = await ask([("eth_getBlockByNumber", [hex(header.number), False])])
        return None if block is None else decoding.header(block, header.number).hash

    hashes = Counter(await rpc.survey(shown))
    hashes.pop(None, None)  # providers that haven't reached it yet
    same = hashes.pop(header.hash, 0)
    if max(hashes.values(), default=0) > same:
        rpc.doubt(f"it shows block {header.number} as {header.hash}, and most others don't")
    _check(same, providers, f"block {header.number}")


def _check(agreeing: int, needed: int, subject: str) -> None:
    if agreeing < needed:
        raise ProviderFailed(f"{agreeing} of {needed} providers agree on {subject} (confirm_with = {needed})")

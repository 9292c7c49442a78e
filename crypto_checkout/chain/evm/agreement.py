"""Have several providers say the same before money is believed: each reads for itself, and none knows of the others."""

from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Protocol

from crypto_checkout.chain.evm import answers, balances
from crypto_checkout.chain.rpc.providers import Ask, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind


class Read(Protocol):
    """Asks one provider for the transfers of a block that did not revert."""

    def __call__(self, ask: Ask, *, number: int) -> Awaitable[AbstractSet[Transfer]]:
        """Return them. Raises ProviderFailed."""


async def on_transfers(rpc: Rpc, wanted: Sequence[Transfer], providers: int, read: Read) -> None:
    """Return once so many providers have shown each of these transfers.

    Raises:
        ProviderFailed: Fewer did.

    """
    for number in sorted({transfer.block_number for transfer in wanted}):
        there = [t for t in wanted if t.block_number == number and t.kind is not TransferKind.INTERNAL]
        words = await rpc.survey(partial(read, number=number)) if there else []
        shown = Counter(transfer for word in words for transfer in word)
        for transfer in there:
            _check(shown[transfer], providers, f"payment {transfer.tx_hash} in block {number}")


async def on_balances(rpc: Rpc, header: Header, held: Mapping[Address, int], providers: int) -> None:
    """Return once so many providers have said that addresses held just that at a block. Raises as `on_transfers`."""
    addresses = [*held]
    words = await rpc.survey(lambda ask: balances.at(ask, header, addresses))
    for address, units in held.items():
        same = sum(word[address] == units for word in words)
        _check(same, providers, f"the balance of {address} at block {header.number}")


async def balances_of_all(rpc: Rpc, header: Header, addresses: Sequence[Address], providers: int) -> dict[Address, int]:
    """Return what all providers that answer say alike; nothing where fewer answer than asked for.

    Raises:
        StateUnavailable: None of them has what addresses held then.
        ProviderFailed: None of them answers.

    """
    words = await rpc.survey(lambda ask: balances.at(ask, header, addresses))
    if not words:
        words = [await rpc.converse(lambda ask: balances.at(ask, header, addresses))]
    if len(words) < providers:
        return {}
    return {each: words[0][each] for each in addresses if all(word[each] == words[0][each] for word in words)}


async def no_contradiction(
    rpc: Rpc, header: Header, held: Mapping[Address, int], known: Mapping[Address, int], providers: int
) -> None:
    """Raise ProviderFailed where a provider says that addresses held something else, and fewer than asked for agree.

    Those that can't be reached contradict nobody, as long as an address held what is `known` of it without them.
    """
    addresses = [*held]
    words = await rpc.survey(lambda ask: balances.at(ask, header, addresses))
    for address, units in held.items():
        same = sum(word[address] == units for word in words)
        wanted = min(providers, len(words)) if units == known[address] else providers
        _check(same, wanted, f"the balance of {address} at block {header.number}")


async def on_block(rpc: Rpc, header: Header, providers: int) -> None:
    """Return once so many providers have shown this block, and with it all those below. Raises as `on_transfers`.

    Where more show another one in its place, the preferred provider rests: it follows a chain that others left.
    """

    async def shown(ask: Ask) -> str | None:
        (block,) = await ask([("eth_getBlockByNumber", [hex(header.number), False])])
        return None if block is None else answers.header(block, header.number).hash

    hashes = Counter(await rpc.survey(shown))
    hashes.pop(None, None)  # those that haven't got there yet
    same = hashes.pop(header.hash, 0)
    if max(hashes.values(), default=0) > same:
        rpc.doubt(f"it shows block {header.number} as {header.hash}, and most others don't")
    _check(same, providers, f"block {header.number}")


def _check(said: int, wanted: int, what: str) -> None:
    if said < wanted:
        raise ProviderFailed(f"{said} of {wanted} providers agree on {what} (confirm_with = {wanted})")

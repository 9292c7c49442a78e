"""Sweeps: transactions of deposit addresses and logs of tokens that show money leaving them.

The server holds no key: only the merchant's wallet sends from a deposit address.
"""

from collections.abc import Sequence
from dataclasses import replace

from crypto_checkout.chain.evm import balances, decoding
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.chain.rpc.providers import Ask, Refused
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed, StateUnavailable
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer

_FIRST_RANGE_BLOCKS = 10_000
_LEAST_RANGE_BLOCKS = 10


async def nonces(ask: Ask, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
    """Return the transaction count of each address at a block. Raises StateUnavailable for a block too old."""
    try:
        found = await ask([("eth_getTransactionCount", [address, hex(header.number)]) for address in addresses])
    except Refused as error:
        raise StateUnavailable(f"no state at block {header.number}: {error}") from error
    return {address: decoding.block_number(count) for address, count in zip(addresses, found, strict=True)}


async def spent_between(ask: Ask, first: int, last: Header, address: Address) -> int:
    """Return the cost of an address's own transactions, fees included, after block `first` up to block `last`.

    The blocks of its transactions are found by bisection over its transaction count. Raises StateUnavailable if the
    node no longer has that.
    """

    async def sent(number: int) -> int:
        return (await nonces(ask, Header(number, "", "", last.time), [address]))[address]

    async def blocks(low: int, before: int, high: int, after: int) -> list[int]:
        if before == after:
            return []
        if high - low == 1:
            return [high]
        middle = (low + high) // 2
        count = await sent(middle)
        return [*await blocks(low, before, middle, count), *await blocks(middle, count, high, after)]

    total = 0
    for number in await blocks(first, await sent(first), last.number, await sent(last.number)):
        (block,) = await ask([("eth_getBlockByNumber", [hex(number), False])])
        total += sum(each.units for each in await balances.spent(ask, decoding.header(block, number), [address]))
    return total


async def tokens_sent(
    ask: Ask, tokens: Sequence[Address], first: int, last: Header, addresses: Sequence[Address]
) -> list[Transfer]:
    """Return the transfers of tokens that addresses sent, by their logs from block `first` up to block `last`.

    Each has the time of the last block. Ranges shrink if the node refuses larger ones. Raises ProviderFailed if it
    refuses all.
    """
    senders = frozenset(addresses)
    found: list[Transfer] = []
    topics = [TRANSFER_TOPIC, ["0x" + address[2:].rjust(64, "0") for address in addresses]]
    start, size = first, _FIRST_RANGE_BLOCKS
    while start <= last.number:
        end = min(last.number, start + size - 1)
        criteria = {"address": [*tokens], "topics": topics, "fromBlock": hex(start), "toBlock": hex(end)}
        try:
            answers = await ask([("eth_getLogs", [criteria])])
        except Refused as error:
            if size <= _LEAST_RANGE_BLOCKS:
                raise ProviderFailed(f"no logs from block {start} on: {error}") from error
            size = max(_LEAST_RANGE_BLOCKS, size // 4)
            continue
        for header, logs in decoding.by_block(answers, start, replace(last, number=end)).items():
            of_block = decoding.token_transfers(logs, header, tokens, skip=lambda _: None)
            found += [each for each in of_block if each.sender in senders]
        start = end + 1
    return found

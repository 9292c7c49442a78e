"""What addresses hold of the native coin at a block: that of many in one call, and what lowers it.

The call needs no contract: it runs code that reads the addresses appended to it and answers with their balances.
"""

from collections.abc import Collection, Sequence
from typing import Any

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, StateUnavailable
from crypto_checkout.core.follow import Header

from . import answers
from .rpc import Ask, Call, Refused

MOST_ADDRESSES = 768
"""In one call: its answer is taken for a contract's code, which has at most 24,576 bytes (EIP-170)."""

# Copy what follows the code into memory, replace each word by the balance of the address in it, from the last to the
# first, and return the memory. Without PUSH0, which older chains don't know.
_CODE = "0x602380380380916000395b8015601c57602090038051318152600a565b6023380390f3"
_WORD_BYTES = 32
_CALLS_AT_ONCE = 20


async def at(ask: Ask, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
    """Return what each address holds at a block.

    Raises:
        ChainMoved: Another block is at that height by now.
        StateUnavailable: The node has the block, and not what anybody held then.

    """
    try:
        return await _read(ask, addresses, {"blockHash": header.hash})  # EIP-1898
    except Refused:
        pass  # it doesn't know that form, or the block, or what anybody held then
    await _check_place(ask, header)
    try:
        found = await _read(ask, addresses, hex(header.number))
    except Refused as error:
        raise StateUnavailable(f"no balances at block {header.number}: {error}") from error
    await _check_place(ask, header)
    return found


async def spent(ask: Ask, header: Header, addresses: Collection[Address]) -> dict[Address, int]:
    """Return what the transactions of a block cost these senders."""
    (block,) = await ask([("eth_getBlockByHash", [header.hash, True])])
    if answers.hash_(answers.field(block, "hash")) != header.hash:
        raise ProviderFailed(f"asked for block {header.hash}, got another")
    sent = [each for each in answers.field(block, "transactions") if answers.address(each["from"]) in addresses]
    receipts = await ask([("eth_getTransactionReceipt", [answers.hash_(each["hash"])]) for each in sent])
    costs = dict.fromkeys(addresses, 0)
    for transaction, receipt in zip(sent, receipts, strict=True):
        costs[answers.address(transaction["from"])] += answers.spent(transaction, receipt, header)
    return costs


async def _read(ask: Ask, addresses: Sequence[Address], block: Any) -> dict[Address, int]:
    parts = [addresses[start : start + MOST_ADDRESSES] for start in range(0, len(addresses), MOST_ADDRESSES)]
    found: dict[Address, int] = {}
    for start in range(0, len(parts), _CALLS_AT_ONCE):
        some = parts[start : start + _CALLS_AT_ONCE]
        for part, answer in zip(some, await ask([_balances_call(part, block) for part in some]), strict=True):
            words = answers.hexadecimal(answer)
            if len(words) != len(part) * _WORD_BYTES:
                raise ProviderFailed(f"asked for {len(part)} balances, got {len(words)} bytes")
            places = range(0, len(words), _WORD_BYTES)
            units = [int.from_bytes(words[place : place + _WORD_BYTES]) for place in places]
            found.update(zip(part, units, strict=True))
    return found


def _balances_call(addresses: Sequence[Address], block: Any) -> Call:
    data = _CODE + "".join(address[2:].rjust(2 * _WORD_BYTES, "0") for address in addresses)
    return ("eth_call", [{"data": data}, block])


async def _check_place(ask: Ask, header: Header) -> None:
    (block,) = await ask([("eth_getBlockByNumber", [hex(header.number), False])])
    if answers.header(block, header.number).hash != header.hash:
        raise ChainMoved(f"block {header.number} is another one by now")

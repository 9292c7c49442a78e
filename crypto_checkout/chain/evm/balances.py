"""Balances of many addresses in one call, of the native coin or of a token; and the costs that lower them.

No contract is needed: each call runs code that reads the addresses appended to it, and returns their balances, or one
fingerprint of them all.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from crypto_checkout.chain.evm import decoding, receipts
from crypto_checkout.chain.evm.following import address_texts
from crypto_checkout.chain.rpc.answers import Json
from crypto_checkout.chain.rpc.failures import Throttled
from crypto_checkout.chain.rpc.providers import Ask, Call, Refused, quantity
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, RecoverableError, StateUnavailable
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.outflow import OwnTransaction

Answer = TypeVar("Answer")

MOST_ADDRESSES = 768
"""Limit of one call: nodes treat its answer as a contract's code, of at most 24,576 bytes (EIP-170)."""

# Copy the bytes behind the code into memory, replace each word by the balance of the address in it, from the last to
# the first, and return the memory. Without PUSH0, which older chains don't know.
_CODE = "0x602380380380916000395b8015601c57602090038051318152600a565b6023380390f3"

# The same with the answer of `balanceOf(address)` of the contract in the first word; revert unless that is one word.
_OF_CONTRACT = (
    "0x604c80380380916040396370a082316000525b602090038015603e578060400180516020526020816024601c6040515a"
    "fa1560203d1017604657506012565b606c38036060f35b60006000fd"
)
# Without it, nodes and providers give a call their own default, some of them too little. 768 balances of a token cost
# about 10 million; 30 million is a node's smallest limit (Monad), geth and reth refuse or cut what exceeds 50 million.
_GAS = hex(30_000_000)
_WORD_BYTES = 32
_CALLS_AT_ONCE = 20

# Read the balance of each address, 20 bytes each, that follows the code; put a word for each into memory from 32 on;
# return one byte and the Keccak-256 of these words. The byte is 0: code that begins with 0xEF is refused (EIP-3541).
_FINGERPRINT_CODE = (
    "0x603360205b38821015602357601482600c3960005131815260200190601401906004565b6020900360202060015260216000f3"
)
_FINGERPRINT_BYTES = 33
_FINGERPRINTS_AT_ONCE = 10


class NoToken(RecoverableError):
    """A contract that should be a token does not behave as one."""


async def at(ask: Ask, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
    """Return the native balance of each address at a block, asked for one by one where `eth_call` is refused.

    Raises:
        ChainMoved: Another block is at that height by now.
        StateUnavailable: The node says that it no longer has the block's state, or that it tells no balances at all.
        Refused: It refuses for now: it is busy, say, or doesn't have the block yet.

    """
    try:
        return await together(ask, header, addresses)
    except Throttled:
        raise
    except Refused:
        pass
    try:
        return await _at_block(ask, header, lambda block: _one_by_one(ask, addresses, block))
    except Refused as error:
        _raise_if_old(error, header)
        if decoding.lacks_method(error):
            raise StateUnavailable(f"no balances at all: {error}") from error
        raise


async def at_each(ask: Ask, headers: Sequence[Header], addresses: Sequence[Address]) -> list[dict[Address, int]] | None:
    """Return the native balance of each address at several blocks, from one request; None where that is refused."""
    if len(addresses) > MOST_ADDRESSES:
        return None
    try:
        answers = await ask([_balances_call(_CODE, addresses, {"blockHash": header.hash}) for header in headers])
    except Throttled:
        raise
    except Refused:
        return None  # `at` finds out what is missing
    return [dict(zip(addresses, _words(answer, len(addresses)), strict=True)) for answer in answers]


async def together(ask: Ask, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
    """Return the same as `at`, from one `eth_call` for many addresses."""
    return await _at(ask, header, _CODE, addresses)


async def of_token(ask: Ask, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
    """Return the token balance of each address at a block.

    Raises, besides the errors of `at`:
        NoToken: The contract doesn't answer as a token does.

    """
    return await _at(ask, header, _OF_CONTRACT + _word(token), addresses)


async def of_token_now(ask: Ask, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
    """Return the token balance of each address at the newest block. Raises NoToken."""
    try:
        return await _read(ask, _OF_CONTRACT + _word(token), addresses, "latest")
    except Refused as error:
        _raise_if_reverted(error)
        raise


async def used(ask: Ask, addresses: Sequence[Address], tokens: Sequence[Address], *, sends: bool) -> set[Address]:
    """Return the addresses that have a coin or a token at the newest block, or sent a transaction.

    The transaction count of addresses that send none (deposits) is 1 once somebody placed their code.
    """
    used: set[Address] = set()
    for method in ("eth_getBalance", "eth_getTransactionCount") if sends else ("eth_getBalance",):
        found = await ask([(method, [address, "latest"]) for address in addresses])
        used |= {each for each, number in zip(addresses, found, strict=True) if not decoding.is_zero(number)}
    for token in tokens:
        with suppress(NoToken):  # a misconfigured token; `services.ledger.token_check` reports it
            held = await of_token_now(ask, token, addresses)
            used |= {address for address, units in held.items() if units}
    return used


async def mismatches(ask: Ask, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
    """Return the groups whose balances at a block differ from those expected; all groups if the node can't say.

    Raises ChainMoved if another block is at that height by now, and Refused if the node is busy.
    """
    try:
        found = await _at_block(ask, header, lambda block: _fingerprints(ask, groups, block))
    except Throttled:
        raise
    except Refused:
        return [*groups]  # it lacks the state, or refuses calls as large as these: `at` will show which
    return [group for group, actual in zip(groups, found, strict=True) if actual != group.fingerprint]


async def spent(ask: Ask, header: Header, addresses: Collection[Address]) -> list[OwnTransaction]:
    """Return the transactions of these senders in a block, with their cost."""
    (block,) = await ask([("eth_getBlockByHash", [header.hash, True])])
    if decoding.hash_(decoding.field(block, "hash")) != header.hash:
        raise ProviderFailed(f"asked for block {header.hash}, got another")
    sent = decoding.sent_by(block, header, addresses)
    found = await ask([("eth_getTransactionReceipt", [decoding.hash_(each["hash"])]) for _, each in sent])
    read = (
        receipts.own_transaction(transaction, receipt, header, sender)
        for (sender, transaction), receipt in zip(sent, found, strict=True)
    )
    return [each for each in read if each is not None]


async def _at(ask: Ask, header: Header, code: str, addresses: Sequence[Address]) -> dict[Address, int]:
    try:
        return await _at_block(ask, header, lambda block: _read(ask, code, addresses, block))
    except Refused as error:
        _raise_if_reverted(error)
        _raise_if_old(error, header)
        raise


async def _at_block(ask: Ask, header: Header, read: Callable[[Any], Awaitable[Answer]]) -> Answer:
    """Read at a block by its hash, or else by its number, checking before and after that it is still the same block."""
    try:
        return await read({"blockHash": header.hash})  # EIP-1898
    except Throttled:
        raise  # it was asked often enough
    except Refused:
        pass  # it doesn't know that form, or lacks the block or its state
    await _check_place(ask, header)
    found = await read(hex(header.number))
    await _check_place(ask, header)
    return found


def _raise_if_old(error: Refused, header: Header) -> None:
    if decoding.lacks_state(error):
        raise StateUnavailable(f"no balances at block {header.number}: {error}") from error


def _raise_if_reverted(error: Refused) -> None:
    if decoding.has_reverted(error):
        raise NoToken("the contract doesn't answer balanceOf(address) as a token does") from error


async def _read(ask: Ask, code: str, addresses: Sequence[Address], block: Any) -> dict[Address, int]:
    parts = [addresses[start : start + MOST_ADDRESSES] for start in range(0, len(addresses), MOST_ADDRESSES)]
    found: dict[Address, int] = {}
    for start in range(0, len(parts), _CALLS_AT_ONCE):
        some = parts[start : start + _CALLS_AT_ONCE]
        for part, answer in zip(some, await ask([_balances_call(code, part, block) for part in some]), strict=True):
            found.update(zip(part, _words(answer, len(part)), strict=True))
    return found


def _words(answer: Any, count: int) -> list[int]:
    words = decoding.hexadecimal(answer)
    if len(words) != count * _WORD_BYTES:
        raise ProviderFailed(f"asked for {count} balances, got {len(words)} bytes")
    return [int.from_bytes(words[place : place + _WORD_BYTES]) for place in range(0, len(words), _WORD_BYTES)]


async def _one_by_one(ask: Ask, addresses: Sequence[Address], block: Any) -> dict[Address, int]:
    found = await ask([("eth_getBalance", [address, block]) for address in addresses])
    return {address: quantity(units) for address, units in zip(addresses, found, strict=True)}


async def _fingerprints(ask: Ask, groups: Sequence[ExpectedGroup], block: Any) -> list[bytes]:
    found: list[bytes] = []
    for start in range(0, len(groups), _FINGERPRINTS_AT_ONCE):
        some = groups[start : start + _FINGERPRINTS_AT_ONCE]
        found += map(fingerprint, await ask([fingerprint_call(group.addresses, block) for group in some]))
    return found


def fingerprint(answer: Any) -> bytes:
    """Read the answer to a `fingerprint_call`."""
    content = decoding.hexadecimal(answer)
    if len(content) != _FINGERPRINT_BYTES:
        raise ProviderFailed(f"asked for a fingerprint of balances, got {len(content)} bytes")
    return content[1:]


def fingerprint_call(addresses: tuple[Address, ...], block: Any) -> Call:
    """Return the call for one fingerprint of the balances of addresses at a block."""
    digits = address_texts.of(addresses).digits
    return ("eth_call", Json(f'[{{"gas":"{_GAS}","data":"{_FINGERPRINT_CODE}{digits}"}},{json.dumps(block)}]'))


def _balances_call(code: str, addresses: Sequence[Address], block: Any) -> Call:
    return ("eth_call", [{"gas": _GAS, "data": code + "".join(map(_word, addresses))}, block])


def _word(address: Address) -> str:
    return address[2:].rjust(2 * _WORD_BYTES, "0")


async def _check_place(ask: Ask, header: Header) -> None:
    (block,) = await ask([("eth_getBlockByNumber", [hex(header.number), False])])
    if decoding.header(block, header.number).hash != header.hash:
        raise ChainMoved(f"block {header.number} is another one by now")

"""Calldata of the contracts that collect (the ABI of Solidity, for the few shapes that they have)."""

from collections.abc import Mapping, Sequence

from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.collect.contracts import word

COIN = Address("0x" + "00" * 20)
"""Stands for the chain's own coin where a call names a token."""

COLLECT = "collect(address,(address,bytes32[])[])"
COLLECT_FROM = "collectFrom((address,address[])[])"
"""The two functions of the Collector that move money."""

_WORD = 32


def collect(destination: Address, salts: Mapping[Address, Sequence[bytes]]) -> bytes:
    """Call the Collector: deploy what is missing and collect, for each token the deposits with these salts.

    It answers how many amounts moved (uint256). Only logs say which: one that fails stops no other.
    """
    groups = [(word(token), list(each)) for token, each in salts.items()]
    return selector(COLLECT) + word(destination) + _number(2 * _WORD) + _groups(groups)


def collect_from(accounts: Mapping[Address, Sequence[Address]]) -> bytes:
    """Call the Collector for accounts with code: ones that delegate (EIP-7702), and deposits; else as `collect`."""
    groups = [(word(token), [word(account) for account in each]) for token, each in accounts.items()]
    return selector(COLLECT_FROM) + _number(_WORD) + _groups(groups)


def address_of(destination: Address, salt: bytes) -> bytes:
    """Call the Collector: it answers the deposit address of a salt."""
    return selector("addressOf(address,bytes32)") + word(destination) + salt


def destination_of_delegate() -> bytes:
    """Call a delegate, or an account that delegates to it: it answers where money goes."""
    return selector("destination()")


def _groups(groups: Sequence[tuple[bytes, Sequence[bytes]]]) -> bytes:
    """Encode `(token, word[])[]`: the number of groups, where each begins, then each."""
    bodies = [token + _number(2 * _WORD) + _number(len(members)) + b"".join(members) for token, members in groups]
    offset, offsets = len(bodies) * _WORD, []
    for body in bodies:
        offsets.append(_number(offset))
        offset += len(body)
    return _number(len(bodies)) + b"".join(offsets) + b"".join(bodies)


def selector(signature: str) -> bytes:
    """Return the four bytes by which calldata names a function, such as `collect(address)`."""
    return keccak_256(signature.encode())[:4]


def _number(value: int) -> bytes:
    return value.to_bytes(_WORD)

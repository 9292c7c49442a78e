"""Calls of others' contracts: the facts of a token (ERC-20), and the answers of contracts that may be anybody's."""

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.rpc.failures import Throttled, TooLarge
from crypto_checkout.chain.rpc.providers import Ask, Refused
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import TokenFacts

_DECIMALS = "0x313ce567"
_SYMBOL = "0x95d89b41"
_WORD_BYTES = 32
_MOST_DECIMALS = 255
_LONGEST_SYMBOL = 64
_STRANGERS_GAS = 5_000_000  # many signatures' worth, and milliseconds of a node's time


async def facts(ask: Ask, contract: Address) -> TokenFacts:
    """Read the facts of a contract."""
    (code,) = await ask([("eth_getCode", [contract, "latest"])])
    return TokenFacts(
        has_code=bool(decoding.hexadecimal(code)),
        decimals=_decimals(await _call(ask, contract, _DECIMALS)),
        symbol=_text(await _call(ask, contract, _SYMBOL)),
    )


async def ask_contract(ask: Ask, contract: str, data: str, **limits: str) -> bytes:
    """Return a contract's answer to a call at the newest block; `limits` are more fields of the call."""
    (answer,) = await ask([("eth_call", [{"to": contract, "data": data, **limits}, "latest"])])
    return decoding.hexadecimal(answer)


async def ask_stranger(ask: Ask, contract: str, data: str) -> bytes:
    """Return the answer of a contract that may be anybody's, empty if it fails, however it does.

    Else whoever makes a contract fail could have all providers rest, which are not to blame.
    """
    try:
        return await ask_contract(ask, contract, data, gas=hex(_STRANGERS_GAS))
    except Throttled:
        raise
    except (Refused, TooLarge):
        return b""


async def _call(ask: Ask, contract: Address, data: str) -> bytes:
    """Return a contract's answer, empty if it reverts. Any other refusal is the node's own, and raised."""
    try:
        return await ask_contract(ask, contract, data)
    except Refused as error:
        if decoding.has_reverted(error):
            return b""
        raise


def _decimals(answer: bytes) -> int | None:
    number = int.from_bytes(answer)
    return number if len(answer) == _WORD_BYTES and number <= _MOST_DECIMALS else None


def _text(answer: bytes) -> str | None:
    """Read an ABI string, or the bytes32 of a few old tokens."""
    content = answer
    if len(answer) > 2 * _WORD_BYTES:
        length = int.from_bytes(answer[_WORD_BYTES : 2 * _WORD_BYTES])
        content = answer[2 * _WORD_BYTES : 2 * _WORD_BYTES + min(length, _LONGEST_SYMBOL)]
    text = content.rstrip(b"\0").decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable()) or None

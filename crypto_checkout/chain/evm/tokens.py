"""What a token's contract (ERC-20) says about itself: whether it is there, its decimals and its symbol."""

from crypto_checkout.chain.evm import answers
from crypto_checkout.chain.rpc.providers import Ask, Refused
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import TokenFacts

_DECIMALS = "0x313ce567"
_SYMBOL = "0x95d89b41"
_WORD_BYTES = 32
_MOST_DECIMALS = 255
_LONGEST_SYMBOL = 64


async def facts(ask: Ask, contract: Address) -> TokenFacts:
    """Ask for them."""
    (code,) = await ask([("eth_getCode", [contract, "latest"])])
    return TokenFacts(
        has_code=bool(answers.hexadecimal(code)),
        decimals=_decimals(await _said(ask, contract, _DECIMALS)),
        symbol=_text(await _said(ask, contract, _SYMBOL)),
    )


async def _said(ask: Ask, contract: Address, data: str) -> bytes:
    """Return what a contract answers, nothing where it reverts. Any other refusal is the node's own, and raised."""
    try:
        (answer,) = await ask([("eth_call", [{"to": contract, "data": data}, "latest"])])
    except Refused as error:
        if answers.has_reverted(error):
            return b""
        raise
    return answers.hexadecimal(answer)


def _decimals(answer: bytes) -> int | None:
    number = int.from_bytes(answer)
    return number if len(answer) == _WORD_BYTES and number <= _MOST_DECIMALS else None


def _text(answer: bytes) -> str | None:
    """Read an ABI string, or the 32 bytes that a few old tokens answer."""
    content = answer
    if len(answer) > 2 * _WORD_BYTES:
        length = int.from_bytes(answer[_WORD_BYTES : 2 * _WORD_BYTES])
        content = answer[2 * _WORD_BYTES : 2 * _WORD_BYTES + min(length, _LONGEST_SYMBOL)]
    text = content.rstrip(b"\0").decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable()) or None

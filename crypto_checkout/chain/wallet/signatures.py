"""Signatures of messages by accounts: of plain ones (EIP-191), and of contracts that vouch for them (ERC-1271)."""

from collections.abc import Awaitable, Callable

from crypto_checkout.core.address import Address, keccak_256

ReadContract = Callable[[str, str], Awaitable[bytes]]
"""Return a contract's answer to a call, given its address and the data; nothing if it fails. Raises ProviderFailed."""

_SIGNATURE_BYTES = 65
_MOST_BYTES = 4096
_WORD = 32
# bytes4(keccak256("isValidSignature(bytes32,bytes)")), which is the answer to a valid one, too.
_IS_VALID = "1626ba7e"


async def is_signed(text: str, signature: str, account: Address, read_contract: ReadContract | None) -> bool:
    """Tell whether an account signed a text, or as a contract accepts the signature.

    Without `read_contract` only plain accounts can sign. Raises ProviderFailed when the chain can't be asked.
    """
    raw = _parse(signature)
    if raw is None:
        return False
    digest = eip191_hash(text)
    if len(raw) == _SIGNATURE_BYTES and recover(digest, raw) == account:
        return True
    if read_contract is None:
        return False
    answer = await _ask(read_contract, account, digest, raw)
    return answer.hex() == _IS_VALID.ljust(2 * _WORD, "0")


def eip191_hash(text: str) -> bytes:
    """Return the hash that `personal_sign` signs (EIP-191, version 0x45)."""
    data = text.encode()
    return keccak_256(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)


def recover(digest: bytes, signature: bytes) -> Address | None:
    """Return the account whose signature of a hash this is; None for one that is malformed."""
    from eth_account import Account  # late: a shop without refunds doesn't load it
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    try:
        return Address(Account._recover_hash(digest, signature=signature).lower())  # noqa: SLF001 - the way to a hash
    except (BadSignature, ValidationError, ValueError):
        return None


async def _ask(read_contract: ReadContract, account: Address, digest: bytes, signature: bytes) -> bytes:
    padded = signature + bytes(-len(signature) % _WORD)
    offset, length = (number.to_bytes(_WORD) for number in (2 * _WORD, len(signature)))
    data = "0x" + _IS_VALID + (digest + offset + length + padded).hex()
    return await read_contract(account, data)


def _parse(signature: str) -> bytes | None:
    try:
        raw = bytes.fromhex(signature.strip().removeprefix("0x"))
    except ValueError:
        return None
    return raw if 0 < len(raw) <= _MOST_BYTES else None

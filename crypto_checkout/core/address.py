"""Addresses: lower-case `0x` text inside the product, in the mixed case of EIP-55 wherever they are shown.

Text only: deriving addresses is `chain.wallet.xpub`'s work.
"""

import re
from functools import lru_cache
from typing import NewType

from Crypto.Hash import keccak

Address = NewType("Address", str)

_SHAPE = re.compile(r"0[xX][0-9a-fA-F]{40}")
_CASE = ord("a") ^ ord("A")
_LETTERS = bytes(_CASE if chr(code) in "abcdef" else 0 for code in range(256))
_CAPITAL = bytes(_CASE if chr(code) in "89abcdef" else 0 for code in range(256))


def parse(text: str) -> Address:
    """Read an address in lower case, in upper case, or in mixed case with a correct EIP-55 checksum.

    Raises:
        ValueError: The message says what is wrong.
    """
    if not _SHAPE.fullmatch(text):
        raise ValueError(_why_malformed(text))
    digits = text[2:]
    address = Address("0x" + digits.lower())
    # One case throughout carries no checksum (EIP-55): there is nothing to compare.
    if digits not in (digits.lower(), digits.upper()) and checksum(address)[2:] != digits:
        raise ValueError(f"the checksum (EIP-55) of {text} does not fit: a digit or its case was changed in copying")
    return address


@lru_cache(maxsize=4096)
def checksum(address: Address) -> str:
    """Write an address with the mixed-case checksum of EIP-55."""
    digits = address[2:].encode("ascii")
    fingerprint = keccak_256(digits).hex().encode("ascii")[: len(digits)]
    # All digits at once: one bit tells a small letter from a capital one, and it falls where the fingerprint says so.
    capital = int.from_bytes(fingerprint.translate(_CAPITAL)) & int.from_bytes(digits.translate(_LETTERS))
    return "0x" + (int.from_bytes(digits) ^ capital).to_bytes(len(digits)).decode("ascii")


def of_public_key(point: bytes) -> Address:
    """Return the address of an uncompressed public key: 64 bytes, x then y."""
    return Address("0x" + keccak_256(point)[-20:].hex())


def keccak_256(data: bytes) -> bytes:
    """Hash as Ethereum does: with Keccak-256 as it was before standardisation, which differs from SHA3-256."""
    return keccak.new(digest_bits=256, data=data).digest()


def _why_malformed(text: str) -> str:
    if text[:2].lower() != "0x":
        return f"an address begins with 0x; {text!r} does not"
    if len(text) != len("0x") + 40:
        return f"an address has 40 hexadecimal digits after 0x; {text!r} has {len(text) - 2} characters there"
    return f"{text!r} has characters after 0x that are no hexadecimal digits"

"""The cold address as its owner writes it: checked, because what is sent to a wrong one is lost for good."""

import re

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect import contracts

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PRIVATE_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_NOBODYS = frozenset(
    {
        *(Address(f"0x{number:040x}") for number in (*range(256), 0xDEAD)),
        contracts.CREATE2_PROXY,
        contracts.FORWARDER.address,
        contracts.COLLECTOR.address,
    }
)
"""Addresses that nobody owns and that are easily pasted: zero, what the EVM keeps for itself, and our contracts."""


def parse_destination(text: str) -> Address:
    """Read an address in the spelling of EIP-55, which no changed digit survives.

    Raises:
        ValueError: with a sentence that doesn't repeat the text, which may be a private key pasted by mistake.
    """
    text = text.strip()
    if _PRIVATE_KEY.fullmatch(text) or text[1:4] == "prv":
        raise ValueError("this looks like a private key; never put it on a server. Expected: an address")
    if len(text.split()) > 1:
        raise ValueError("this looks like a recovery phrase; never put it on a server. Expected: an address")
    if text[1:4] == "pub":
        raise ValueError("this is an extended public key; it belongs in xpub. Expected: one address, 0x… and 40 digits")
    if not _ADDRESS.fullmatch(text):
        raise ValueError("an address is 0x and then 40 digits and letters from a to f")
    address = Address(text.lower())
    if checksum(address) != text:
        raise ValueError(
            "write it exactly as your wallet shows it, in capital and small letters (EIP-55): they show whether a "
            "digit was changed, and in this one they don't fit"
        )
    if address in _NOBODYS:
        raise ValueError("nobody owns this address: what is sent there is lost")
    return address

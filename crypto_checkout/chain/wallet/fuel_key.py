"""The one private key that the server may hold: it pays for gas, and can sign nothing but calls of our Collector.

What such a call moves goes to the owners' destinations, whoever sends it. So a thief of this key gets the gas in its
account, and nothing else.
"""

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.chain_state import FuelCall
from crypto_checkout.core.collect.contracts import COLLECTOR
from crypto_checkout.core.collect.plan_file import SignedTransaction

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_ALLOWED = (calls.selector(calls.COLLECT), calls.selector(calls.COLLECT_FROM))
_OTHERS = 0o077


class FuelKeyUnusable(ValueError):
    """The file can't be used; the message says why and what to do, and never repeats what is in it."""


@dataclass(frozen=True, slots=True)
class FuelKey:
    """A private key and its account."""

    address: Address
    _secret: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file with 64 hexadecimal digits that only its owner can read. Raises FuelKeyUnusable."""
        try:
            mode = path.stat().st_mode
            text = path.read_text("ascii").strip()
        except OSError as error:
            raise FuelKeyUnusable(f"{path} can't be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise FuelKeyUnusable(f"{path} holds no key: `crypto-checkout collect key` makes one") from None
        if stat.S_IMODE(mode) & _OTHERS:
            raise FuelKeyUnusable(f"{path} can be read by others: chmod 600 {path}")
        if not _KEY.fullmatch(text):
            raise FuelKeyUnusable(f"{path} holds no key: `crypto-checkout collect key` makes one")
        return cls.of(bytes.fromhex(text.removeprefix("0x")))

    @classmethod
    def of(cls, secret: bytes) -> Self:
        """Take 32 bytes as the key. Raises FuelKeyUnusable for the few that are none."""
        from eth_keys.datatypes import PrivateKey
        from eth_utils.exceptions import ValidationError

        try:
            address = PrivateKey(secret).public_key.to_address()
        except (ValueError, ValidationError):
            raise FuelKeyUnusable("this number is no private key") from None
        return cls(Address(address), secret)

    def sign(self, call: FuelCall) -> SignedTransaction:
        """Sign a call of the Collector. Raises ValueError for any other."""
        if call.data[:4] not in _ALLOWED:
            raise ValueError("the fuel key signs calls of the Collector only")
        from eth_account import Account

        signed = Account.sign_transaction(
            {
                "type": 2,
                "chainId": call.chain_id,
                "nonce": call.nonce,
                "to": checksum(COLLECTOR.address),
                "value": 0,
                "data": "0x" + call.data.hex(),
                "gas": call.gas,
                "maxFeePerGas": call.max_fee_per_gas,
                "maxPriorityFeePerGas": call.max_priority_fee_per_gas,
            },
            self._secret,
        )
        return SignedTransaction(signed.hash.to_0x_hex(), signed.raw_transaction.to_0x_hex())

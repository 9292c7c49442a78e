"""Deposit addresses from an extended public key: the public half of BIP-32.

Never here: a private key. One pasted by mistake is refused, and no message repeats it. Importing this module does not
import web3. An address takes 0.03 ms with coincurve and 5 ms without.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Self

import base58
from Crypto.Hash import RIPEMD160

from crypto_checkout.chain.wallet import spelling
from crypto_checkout.chain.wallet.spelling import LEDGER_LIVE, WANTED
from crypto_checkout.core.address import Address, of_public_key

try:
    import coincurve
except ImportError:  # It has no wheels for Python 3.14 yet; the arithmetic below then runs in Python.
    HAS_COINCURVE = False
else:
    HAS_COINCURVE = True

ACCOUNT_DEPTH = 3  # m/44'/60'/0': addresses are 0/i
HARDENED = spelling.HARDENED
RECEIVING_DEPTH = 4  # m/44'/60'/0'/0: addresses are i

_VERSION = bytes.fromhex("0488b21e")
_PAYLOAD_BYTES = 78


class InvalidChild(ValueError):
    """This index has no key (BIP-32: less likely than 1 in 2^127); the caller must skip to the next one."""


@dataclass(frozen=True, slots=True, repr=False)
class ExtendedPublicKey:
    """A node of the key tree; its addresses can be derived, and nothing can be spent with it."""

    depth: int
    parent_fingerprint: bytes
    child_number: int
    chain_code: bytes
    point: bytes  # compressed, 33 bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the key of an account (depth 3) or of its receiving chain (depth 4), in any spelling of `spelling`.

        Raises:
            ValueError: with a sentence that names the mistake; the text itself is never repeated.
        """
        found = spelling.read(text)
        key = cls.decode(found.key)
        spelling.check_origin(found.origin, key.depth, key.child_number)
        _check_place(key)
        spelling.check_rest(found.rest, RECEIVING_DEPTH - key.depth)
        _receiving(key)  # Derive the parent of all addresses now, so that a failure shows now.
        return key

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read an `xpub…` of any depth. Raises ValueError like `parse`."""
        _refuse_other_input(text)
        payload = _payload(text)
        if len(payload) != _PAYLOAD_BYTES or payload[:4] != _VERSION:
            raise ValueError(f"this is not an extended public key of version xpub. {WANTED}")
        key = cls(
            depth=payload[4],
            parent_fingerprint=payload[5:9],
            child_number=int.from_bytes(payload[9:13], "big"),
            chain_code=payload[13:45],
            point=payload[45:],
        )
        if not _is_on_curve(key.point):
            raise ValueError("this extended public key holds no point of the curve; it was damaged or made up")
        return key

    @property
    def wallet_id(self) -> str:
        """A short stable name of this key's addresses, under which the counter of given-out addresses is kept.

        An account's key and its receiving chain's key share it, because they share every address.
        """
        chain = _receiving(self)
        return sha256(chain.point + chain.chain_code).hexdigest()[:16]

    @property
    def fingerprint(self) -> bytes:
        """The four bytes by which a child names its parent (BIP-32)."""
        return RIPEMD160.new(sha256(self.point).digest()).digest()[:4]

    def address(self, index: int) -> Address:
        """Derive the deposit address number `index`, from 0 to 2^31 - 1.

        Raises:
            InvalidChild: this index has no key.
        """
        return of_public_key(_derive(_receiving(self), index)[0])

    @property
    def is_quick(self) -> bool:
        """True if an address takes microseconds, as it does with the native library."""
        return HAS_COINCURVE

    @property
    def branch(self) -> str:
        """The derivation path of the node above all addresses (BIP-44), as far as this key tells.

        An account's key knows the account's number; its receiving chain's key doesn't, and `?` stands for it.
        """
        if self.depth == ACCOUNT_DEPTH:
            return f"m/44'/60'/{self.child_number - HARDENED}'/0"
        return f"m/44'/60'/?'/{self.child_number}"

    def child(self, index: int) -> Self:
        """Derive the node below this one. Raises InvalidChild."""
        point, chain_code = _derive(self, index)
        return type(self)(self.depth + 1, self.fingerprint, index, chain_code, compress(point))

    def __str__(self) -> str:
        number = self.child_number.to_bytes(4, "big")
        payload = b"".join(
            (_VERSION, bytes((self.depth,)), self.parent_fingerprint, number, self.chain_code, self.point)
        )
        return base58.b58encode_check(payload).decode("ascii")

    def __repr__(self) -> str:
        # The xpub reveals all payments of the shop: it stays out of logs and tracebacks.
        return f"ExtendedPublicKey(depth={self.depth}, wallet_id={self.wallet_id!r})"


@lru_cache(maxsize=16)
def _receiving(key: ExtendedPublicKey) -> ExtendedPublicKey:
    return key.child(0) if key.depth == ACCOUNT_DEPTH else key


def _derive(key: ExtendedPublicKey, index: int) -> tuple[bytes, bytes]:
    """Return a child's point (64 bytes, x then y) and its chain code (BIP-32, CKDpub)."""
    if not 0 <= index < HARDENED:
        raise ValueError(f"an index is from 0 to {HARDENED - 1}, not {index}")
    digest = hmac.digest(key.chain_code, key.point + index.to_bytes(4, "big"), "sha512")
    point = add_to_point(key.point, digest[:32])
    if point is None:
        raise InvalidChild(f"the key has no child number {index}")
    return point, digest[32:]


def compress(point: bytes) -> bytes:
    """Compress a point of 64 bytes (x then y) to the 33 bytes of SEC 1."""
    return bytes((2 + point[-1] % 2,)) + point[:32]


# --- the curve -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)  # one parent has all addresses, and parsing it takes a sixth of the time
def _parsed(point: bytes) -> "coincurve.PublicKey":
    return coincurve.PublicKey(point)


def _add_with_coincurve(point: bytes, scalar: bytes) -> bytes | None:
    try:
        total: bytes = _parsed(point).add(scalar).format(compressed=False)
    except ValueError:  # The scalar is not below the curve's order, or the sum is the point at infinity.
        return None
    return total[1:]


def _add_in_python(point: bytes, scalar: bytes) -> bytes | None:
    from eth_keys.backends.native.ecdsa import decompress_public_key
    from eth_keys.backends.native.jacobian import fast_add, fast_multiply
    from eth_keys.constants import SECPK1_G, SECPK1_N

    number = int.from_bytes(scalar, "big")
    if number >= SECPK1_N:
        return None
    parent = decompress_public_key(point)
    left = int.from_bytes(parent[:32], "big"), int.from_bytes(parent[32:], "big")
    x, y = fast_add(left, fast_multiply(SECPK1_G, number)) if number else left
    return x.to_bytes(32, "big") + y.to_bytes(32, "big") if y else None


def _is_on_curve(point: bytes) -> bool:
    p = 2**256 - 2**32 - 977
    x = int.from_bytes(point[1:], "big")
    y_squared = (pow(x, 3, p) + 7) % p
    return point[0] in (2, 3) and x < p and pow(y_squared, (p - 1) // 2, p) == 1


# (a compressed point, a scalar of 32 bytes) -> point + scalar x G as 64 bytes, or None for an invalid key (BIP-32).
AddToPoint = Callable[[bytes, bytes], bytes | None]
add_to_point: AddToPoint = _add_with_coincurve if HAS_COINCURVE else _add_in_python


# --- wrong input -----------------------------------------------------------------------------------------------------

_HEX = re.compile(r"(0[xX])?[0-9a-fA-F]+")
_PRIVATE_KEY_DIGITS = 64
_ADDRESS_DIGITS = 40
_KINDS = {
    "tpub": "the key of a test network",
    "upub": "the key of a Bitcoin test network",
    "vpub": "the key of a Bitcoin test network",
    "ypub": "the key of a Bitcoin SegWit account",
    "zpub": "the key of a Bitcoin SegWit account",
}
_PLACES = {
    0: "the wallet's master key",
    1: "a key of depth 1, above the account",
    2: "a key of depth 2, above the account",
    5: f"the key of a single address, {LEDGER_LIVE}",
}


def _refuse_other_input(text: str) -> None:
    if not text:
        raise ValueError(f"it is empty. {WANTED}")
    if _HEX.fullmatch(text):
        raise ValueError(_hex_mistake(text))
    if kind := _KINDS.get(text[:4].lower()):
        raise ValueError(f"this is {text[:4]}…, {kind}. {WANTED}")


def _hex_mistake(text: str) -> str:
    digits = text.lower().removeprefix("0x")
    if len(digits) == _PRIVATE_KEY_DIGITS:
        return f"this looks like a private key; never put it on a server. {WANTED}"
    if len(digits) == _ADDRESS_DIGITS:
        return f"this is a single address. {WANTED}"
    return f"this is hexadecimal text, which no extended key is. {WANTED}"


def _payload(text: str) -> bytes:
    try:
        return base58.b58decode_check(text)
    except ValueError:
        # base58's own message would repeat the text.
        problem = "the checksum of this key does not fit: a character was lost or changed in copying"
        if not text.startswith("xpub"):
            problem = "this is not an extended public key"
        raise ValueError(f"{problem}. {WANTED}") from None


def _check_place(key: ExtendedPublicKey) -> None:
    hardened = key.child_number >= HARDENED
    if key.depth not in (ACCOUNT_DEPTH, RECEIVING_DEPTH):
        raise ValueError(f"this is {_PLACES.get(key.depth, f'a key of depth {key.depth}')}. {WANTED}")
    if key.depth == ACCOUNT_DEPTH and not hardened:
        raise ValueError(f"this key lies at depth 3 but is no account (its last step is not hardened). {WANTED}")
    if key.depth == RECEIVING_DEPTH and key.child_number == 1:
        raise ValueError(spelling.change_chain())
    if key.depth == RECEIVING_DEPTH and 1 < key.child_number < HARDENED:
        raise ValueError(f"this key lies at …/{key.child_number}, whose addresses no wallet shows. {WANTED}")
    if key.depth == RECEIVING_DEPTH and hardened:
        raise ValueError(f"this key lies at depth 4 behind a hardened step, where no address is. {WANTED}")

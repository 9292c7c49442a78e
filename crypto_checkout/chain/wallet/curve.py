"""The curve secp256k1: a point added to another, and the public key behind a signature.

Both are done by coincurve, and without it by eth-keys, in Python, which takes 60 times as long and is loaded only then.
"""

from collections.abc import Callable
from functools import lru_cache

try:
    import coincurve
except ImportError:  # It has no wheels for Python 3.14 yet; the arithmetic below then runs in Python.
    HAS_COINCURVE = False
else:
    HAS_COINCURVE = True

_NUMBER_BYTES = 32


def is_on_curve(point: bytes) -> bool:
    """Tell whether 33 bytes are a point, compressed as in SEC 1."""
    p = 2**256 - 2**32 - 977
    x = int.from_bytes(point[1:], "big")
    y_squared = (pow(x, 3, p) + 7) % p
    return point[0] in (2, 3) and x < p and pow(y_squared, (p - 1) // 2, p) == 1


def compress(point: bytes) -> bytes:
    """Compress a point of 64 bytes (x then y) to the 33 bytes of SEC 1."""
    return bytes((2 + point[-1] % 2,)) + point[:32]


def public_key(digest: bytes, r: int, s: int, parity: int) -> bytes | None:
    """Return the key whose signature of a hash this is, as 64 bytes (x then y); None if there is none.

    The parity is 0 or 1, as of a typed transaction; Ethereum has no use for the other two that SEC 1 knows.
    """
    if parity not in (0, 1) or max(r, s).bit_length() > 8 * _NUMBER_BYTES:
        return None
    return recover_point(digest, r.to_bytes(_NUMBER_BYTES) + s.to_bytes(_NUMBER_BYTES) + bytes((parity,)))


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


def _recover_with_coincurve(digest: bytes, signature: bytes) -> bytes | None:
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        return None
    point: bytes = key.format(compressed=False)
    return point[1:]


def _recover_in_python(digest: bytes, signature: bytes) -> bytes | None:
    from eth_keys.backends.native.main import NativeECCBackend
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    try:
        key = Signature(signature, backend=NativeECCBackend()).recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError):
        return None
    return key.to_bytes()


AddToPoint = Callable[[bytes, bytes], bytes | None]
"""(a compressed point, a scalar of 32 bytes) -> point + scalar x G as 64 bytes, or None for an invalid key (BIP-32)."""

RecoverPoint = Callable[[bytes, bytes], bytes | None]
"""(a hash, the 65 bytes of r, s and parity) -> the public key as 64 bytes, or None."""

add_to_point: AddToPoint = _add_with_coincurve if HAS_COINCURVE else _add_in_python
recover_point: RecoverPoint = _recover_with_coincurve if HAS_COINCURVE else _recover_in_python

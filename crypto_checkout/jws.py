"""Signed JSON: JWS in the compact serialization (RFC 7515), with Ed25519 (RFC 8032, as JOSE uses it in RFC 8037).

Keys are 32 bytes, and shown as JWK (RFC 7517); a key's id is its thumbprint (RFC 7638). No other algorithm is ever
accepted, whatever a header says.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from Crypto.PublicKey import ECC

ALGORITHM = "EdDSA"
"""The name that every library knows. RFC 9864 prefers `Ed25519` for the same signatures, which is read here too."""

KEY_BYTES = 32

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_MOST_CHARACTERS = 1_000_000


class JwsInvalid(ValueError):
    """A text that isn't signed as it should be; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Jws:
    """A signed text taken apart, not verified yet."""

    header: Mapping[str, Any]
    payload: bytes
    signature: bytes
    signing_input: bytes

    @property
    def kid(self) -> str | None:
        """The id of the key that it says it is signed with."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else None


def public_key(private_key: bytes) -> bytes:
    """Return the public key of a private one."""
    exported = _private(private_key).public_key().export_key(format="raw")
    assert isinstance(exported, bytes), "raw keys are bytes"
    return exported


def jwk(public: bytes) -> dict[str, str]:
    """Return a public key as JWK, with its use and its id."""
    return {**_required(public), "use": "sig", "alg": ALGORITHM, "kid": key_id(public)}


def key_id(public: bytes) -> str:
    """Return the thumbprint of a public key: SHA-256 over its required members, in the order of their names."""
    text = json.dumps(_required(public), separators=(",", ":"), sort_keys=True)
    return encode(hashlib.sha256(text.encode()).digest())


def read_jwks(document: object) -> dict[str, bytes]:
    """Return the Ed25519 keys of a key set, or of a single key, by their thumbprints. Raises JwsInvalid without any."""
    listed = document.get("keys", [document]) if isinstance(document, Mapping) else None
    found: dict[str, bytes] = {}
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and (each.get("kty"), each.get("crv")) == ("OKP", "Ed25519"):
            public = decode(each.get("x"))
            if len(public) == KEY_BYTES:
                found[key_id(public)] = public
    if not found:
        raise JwsInvalid("there is no Ed25519 key in it")
    return found


def sign(payload: bytes, private_key: bytes, kid: str, media_type: str) -> str:
    """Sign a payload; `media_type` becomes `typ`, so that nobody takes it for something else that is signed."""
    from Crypto.Signature import eddsa

    header = json.dumps({"alg": ALGORITHM, "kid": kid, "typ": media_type}, separators=(",", ":"))
    signing_input = f"{encode(header.encode())}.{encode(payload)}"
    signer = eddsa.new(_private(private_key), "rfc8032")
    return f"{signing_input}.{encode(signer.sign(signing_input.encode()))}"


def parse(text: str) -> Jws:
    """Take a signed text apart. Raises JwsInvalid if it isn't one, or asks for what isn't understood here."""
    parts = text.strip().split(".")
    if len(text) > _MOST_CHARACTERS or len(parts) != 3:  # noqa: PLR2004 - header, payload and signature
        raise JwsInvalid("it is no signed receipt: wanted are three parts with dots between")
    try:
        header = json.loads(decode(parts[0]))
    except (ValueError, RecursionError):
        raise JwsInvalid("its header is no JSON") from None
    if not isinstance(header, Mapping):
        raise JwsInvalid("its header is no JSON object")
    if header.get("alg") not in {ALGORITHM, "Ed25519"}:
        raise JwsInvalid(f"it isn't signed with {ALGORITHM}")
    if "crit" in header:
        raise JwsInvalid("it has extensions that are not understood here")
    return Jws(header, decode(parts[1]), decode(parts[2]), f"{parts[0]}.{parts[1]}".encode())


def is_signed_by(jws: Jws, public: bytes) -> bool:
    """Tell whether a key signed a text."""
    from Crypto.Signature import eddsa

    try:
        eddsa.new(eddsa.import_public_key(public), "rfc8032").verify(jws.signing_input, jws.signature)
    except ValueError:
        return False
    return True


def encode(data: bytes) -> str:
    """Write bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: object) -> bytes:
    """Read base64url without padding. Raises JwsInvalid for anything else."""
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise JwsInvalid("a part of it is no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _private(key: bytes) -> "ECC.EccKey":
    from Crypto.PublicKey import ECC  # pycryptodome; not at the top, because most commands never need it

    seed: Any = key  # its type stubs know no bytes
    return ECC.construct(curve="Ed25519", seed=seed)


def _required(public: bytes) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": encode(public)}

"""Encrypt the secrets that the database holds and the server must be able to read again.

Those are the signing secrets of webhooks and the secret of the second factor; the key is in a file outside the
database (`store.secret_key`). AES-256 in GCM (NIST SP 800-38D) with a random nonce of 96 bits. Passwords, API keys and
recovery codes are hashed instead.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Sequence

KEY_BYTES = 32

SECOND_FACTOR = "admin/totp_secret"
"""The place of the second factor's secret."""

_SCHEME = "aes256gcm"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_ID_CHARACTERS = 12


class Cipher:
    """Encrypts with the first of its keys, and decrypts with any of them.

    An encrypted text is `aes256gcm:KEY:DATA`. KEY is a digest that tells keys apart, DATA the nonce, the tag and the
    ciphertext in base64. It can be decrypted for its own place only, such as the id of its row, so that whoever can
    write to the database can't put one secret in the place of another.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a cipher needs at least one key, of {KEY_BYTES} bytes")
        self._first = key_id(keys[0])
        self._keys = {key_id(key): key for key in keys}

    @property
    def key_id(self) -> str:
        """The name of the key that it encrypts with."""
        return self._first

    def encrypt(self, text: str, place: str) -> str:
        """Encrypt a text for a place."""
        from Crypto.Cipher import AES  # pycryptodome; not at the top, because most commands never need it

        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = AES.new(self._keys[self._first], AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
        cipher.update(place.encode())
        ciphertext, tag = cipher.encrypt_and_digest(text.encode())
        return f"{_SCHEME}:{self._first}:{base64.b64encode(nonce + tag + ciphertext).decode()}"

    def decrypt(self, encrypted: str, place: str) -> str | None:
        """Return the text; None if its key isn't here, or if it was changed or made for another place."""
        from Crypto.Cipher import AES

        scheme, _, rest = encrypted.partition(":")
        name, _, data = rest.partition(":")
        key = self._keys.get(name)
        if scheme != _SCHEME or key is None:
            return None
        try:
            raw = base64.b64decode(data, validate=True)
            nonce, tag = raw[:_NONCE_BYTES], raw[_NONCE_BYTES : _NONCE_BYTES + _TAG_BYTES]
            cipher = AES.new(key, AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
            cipher.update(place.encode())
            return cipher.decrypt_and_verify(raw[_NONCE_BYTES + _TAG_BYTES :], tag).decode()
        except ValueError:
            return None

    def decrypt_all(self, encrypted: Iterable[str], place: str) -> list[str]:
        """Return the texts that can be decrypted, in their order."""
        found = (self.decrypt(each, place) for each in encrypted)
        return [each for each in found if each is not None]


def is_encrypted(text: str) -> bool:
    """Tell whether a text comes from a `Cipher`."""
    return text.startswith(f"{_SCHEME}:")


def key_id(key: bytes) -> str:
    """Return the name of a key in encrypted texts, which tells nothing about it."""
    return hashlib.sha256(b"key id " + key).hexdigest()[:_ID_CHARACTERS]


def of_endpoint(endpoint_id: str) -> str:
    """Return the place of the signing secrets of a webhook endpoint."""
    return f"webhook_endpoints/{endpoint_id}"


def of_answer(api_key_id: str, idempotency_key: str) -> str:
    """Return the place of a stored answer that holds a secret."""
    return f"idempotency_keys/{api_key_id}/{idempotency_key}"


def of_receipt_key(kid: str) -> str:
    """Return the place of the private key that signs receipts."""
    return f"receipt_keys/{kid}"

"""Encrypt and decrypt files of the age format (C2SP age, version 1), to public keys or with a passphrase, as streams.

The tools `age` and `rage` read these files too. Public keys are left to pyrage. It keeps a file with a passphrase in
memory as a whole, so those are written here: the header with scrypt, then chunks of 64 KiB in ChaCha20-Poly1305.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.files import force

_VERSION = b"age-encryption.org/v1\n"
_SCRYPT_LABEL = b"age-encryption.org/v1/scrypt"
_STANZA = re.compile(
    rb"age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n"
    rb"([A-Za-z0-9+/]{43})\n--- ([A-Za-z0-9+/]{43})\n"
)
_MOST_HEADER = 1024
_MOST_HEADER_OF_RECIPIENTS = 16 * 1024
"""Room for 100 public keys. pyrage's time grows with the square of a header's size: half a minute for 80 KB."""
_FILE_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 16, 16, 16, 16
_CHUNK_BYTES = 64 * 1024
_WORK_FACTOR = 17
_MOST_WORK_FACTOR = 20
_MOST_MEMORY = 2**31 - 1
_PIECE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Encryption:
    """The recipients of a file: public keys (`age1…`), or a passphrase. With neither it isn't encrypted."""

    recipients: tuple[str, ...] = ()
    passphrase: str = ""

    def __repr__(self) -> str:
        """Leave the passphrase out."""
        return f"Encryption({len(self.recipients)} recipients{', a passphrase' if self.passphrase else ''})"

    def __bool__(self) -> bool:
        """Tell whether there is anything to encrypt to."""
        return bool(self.recipients or self.passphrase)


UNENCRYPTED = Encryption()
"""Neither: the file stays as it is."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key to a file: the text of an identity file (lines of `AGE-SECRET-KEY-1…`), or a passphrase."""

    identities: str = ""
    passphrase: str = ""

    def __repr__(self) -> str:
        """Leave the secrets out."""
        return "Key(…)"


class WrongKey(FatalError):
    """A file can't be decrypted with the key at hand, or isn't whole."""


def is_encrypted(file: Path) -> bool:
    """Tell by its first bytes whether a file is of age. Raises OSError."""
    with file.open("rb") as opened:
        return opened.read(len(_VERSION)) == _VERSION


def needs_passphrase(file: Path) -> bool:
    """Tell whether a file of age is encrypted with a passphrase. Raises OSError."""
    with file.open("rb") as opened:
        return opened.read(len(_VERSION) + 10) == _VERSION + b"-> scrypt "


def encrypt(file: Path, to: Path, encryption: Encryption, after_piece: Callable[[int], None] = lambda _: None) -> None:
    """Encrypt a file into another, in pieces that are on the disk before `after_piece` is called with all bytes so far.

    Raises OSError.
    """
    with file.open("rb") as source, closing(_Forced(to, after_piece)) as target:
        if encryption.recipients:
            _encrypt_to_recipients(source, target, encryption.recipients)
        else:
            _encrypt_with_passphrase(source, target, encryption.passphrase)


def decrypt(file: Path, to: Path, key: Key) -> None:
    """Decrypt a file into another. Raises WrongKey, and OSError; what was written until then is worth nothing."""
    with file.open("rb") as source, closing(_Forced(to, lambda _: None)) as target:
        if key.passphrase:
            _decrypt_with_passphrase(source, target, key.passphrase, file)
        else:
            _decrypt_with_identities(source, target, key.identities, file)


def _encrypt_to_recipients(source: BinaryIO, target: "_Forced", recipients: Iterable[str]) -> None:
    # Imported here, because most backups aren't encrypted.
    from pyrage import EncryptError, encrypt_io, x25519

    try:
        encrypt_io(source, target, [x25519.Recipient.from_str(each) for each in recipients])
    except EncryptError as error:
        raise (target.failure or OSError(str(error))) from error


def _decrypt_with_identities(source: BinaryIO, target: "_Forced", text: str, file: Path) -> None:
    from pyrage import DecryptError, IdentityError, decrypt_io, x25519

    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        identities = [x25519.Identity.from_str(line) for line in lines]
    except IdentityError as error:
        raise WrongKey("The identity isn't one of age: a line AGE-SECRET-KEY-1…, as `age-keygen` writes it.") from error
    if not identities:
        raise WrongKey("The identity file is empty: expected a line AGE-SECRET-KEY-1…, as `age-keygen` writes it.")
    if b"\n--- " not in source.read(_MOST_HEADER_OF_RECIPIENTS):
        raise WrongKey(f"The beginning of {file} is damaged, or names too many public keys: restore another backup.")
    source.seek(0)
    try:
        decrypt_io(source, target, identities)
    except OSError as error:
        if target.failure is not None:
            raise target.failure from error
        if error.errno is not None:
            raise
        # It has no number where the data after the header isn't what was encrypted.
        raise WrongKey(f"{file} is damaged: restore another backup.") from error
    except DecryptError as error:
        raise WrongKey(
            f"{file} can't be decrypted with this identity: it was encrypted to another, or is damaged ({error})."
        ) from error


class _Forced:
    """A file that is being written: each piece is forced to the disk, and dropped from the memory, before the next."""

    def __init__(self, to: Path, after_piece: Callable[[int], None]) -> None:
        self.failure: OSError | None = None
        """The disk's, which pyrage turns into another error."""
        self._file = to.open("wb", buffering=0)
        self._after_piece = after_piece
        self._written = self._forced = 0

    def write(self, data: bytes) -> int:
        """Write bytes."""
        try:
            self._write(data)
        except OSError as error:
            self.failure = error
            raise
        return len(data)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self._written += len(data)
        if self._written - self._forced >= _PIECE_BYTES:
            self.flush()
            self._after_piece(self._written)

    def flush(self) -> None:
        """Force to the disk what was written."""
        force(self._file.fileno())
        self._forced = self._written

    def close(self) -> None:
        """Close the file, on the disk as a whole unless writing failed."""
        try:
            if self.failure is None:
                self.flush()
        finally:
            self._file.close()


# --- passphrases -----------------------------------------------------------------------------------------------------


def _encrypt_with_passphrase(source: BinaryIO, target: _Forced, passphrase: str) -> None:
    from Crypto.Cipher import ChaCha20_Poly1305

    file_key, salt = secrets.token_bytes(_FILE_KEY_BYTES), secrets.token_bytes(_SALT_BYTES)
    cipher = ChaCha20_Poly1305.new(key=_wrapping_key(passphrase, salt, _WORK_FACTOR), nonce=bytes(12))
    body = b"".join(cipher.encrypt_and_digest(file_key))
    header = _VERSION + b"-> scrypt %s %d\n%s\n---" % (_base64(salt), _WORK_FACTOR, _base64(body))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    target.write(header + b" " + _base64(_header_mac(file_key, header)) + b"\n" + nonce)
    key = _derived(file_key, nonce, b"payload")
    for number, (chunk, is_last) in enumerate(_chunks(source, _CHUNK_BYTES)):
        cipher = ChaCha20_Poly1305.new(key=key, nonce=_chunk_nonce(number, is_last=is_last))
        target.write(b"".join(cipher.encrypt_and_digest(chunk)))


def _decrypt_with_passphrase(source: BinaryIO, target: _Forced, passphrase: str, file: Path) -> None:
    from Crypto.Cipher import ChaCha20_Poly1305

    start = source.read(_MOST_HEADER)
    found = _STANZA.match(start)
    if found is None:
        raise WrongKey(f"{file} wasn't encrypted with a passphrase, or its beginning is damaged.")
    salt, factor, body = _unbase64(found[1]), int(found[2]), _unbase64(found[3])
    if factor > _MOST_WORK_FACTOR:
        raise WrongKey(f"{file} asks for too much work for its passphrase (2^{factor}); decrypt it with `age` first.")
    cipher = ChaCha20_Poly1305.new(key=_wrapping_key(passphrase, salt, factor), nonce=bytes(12))
    try:
        file_key = cipher.decrypt_and_verify(body[:-_TAG_BYTES], body[-_TAG_BYTES:])
    except ValueError as error:
        raise WrongKey(f"This is not the passphrase of {file}.") from error
    damaged = WrongKey(f"{file} is damaged: restore another backup.")
    if not hmac.compare_digest(_header_mac(file_key, found[0][: found[0].rindex(b" ")]), _unbase64(found[4])):
        raise damaged
    source.seek(found.end())
    key = _derived(file_key, source.read(_NONCE_BYTES), b"payload")
    for number, (chunk, is_last) in enumerate(_chunks(source, _CHUNK_BYTES + _TAG_BYTES)):
        cipher = ChaCha20_Poly1305.new(key=key, nonce=_chunk_nonce(number, is_last=is_last))
        try:
            target.write(cipher.decrypt_and_verify(chunk[:-_TAG_BYTES], chunk[-_TAG_BYTES:]))
        except ValueError as error:
            raise damaged from error


def _chunks(source: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a file in chunks, each with whether it is the last; only an empty file has an empty one."""
    chunk = source.read(size)
    while True:
        following = source.read(size)
        yield chunk, not following
        if not following:
            return
        chunk = following


def _chunk_nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _wrapping_key(passphrase: str, salt: bytes, factor: int) -> bytes:
    # It takes 128 * r * n bytes: 128 MiB for what is encrypted here.
    return hashlib.scrypt(
        passphrase.encode(), salt=_SCRYPT_LABEL + salt, n=1 << factor, r=8, p=1, dklen=32, maxmem=_MOST_MEMORY
    )


def _header_mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_derived(file_key, b"", b"header"), header, "sha256")


def _derived(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive 32 bytes by HKDF-SHA-256 (RFC 5869), of which one block is enough."""
    extracted = hmac.digest(salt or bytes(32), file_key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _unbase64(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4))

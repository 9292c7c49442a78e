"""Files of age: what `age` and other libraries write is read, and the reverse; nothing damaged passes."""

import io
import os
import time
from pathlib import Path

import pytest
from pyrage import decrypt_io, encrypt, passphrase, x25519

from crypto_checkout.store import age_files
from crypto_checkout.store.age_files import UNENCRYPTED, Encryption, Key, WrongKey

WORDS = "correct horse battery staple"
CHUNK = 64 * 1024
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17)


@pytest.fixture
def identity() -> x25519.Identity:
    return x25519.Identity.generate()


def sealed(folder: Path, data: bytes, encryption: Encryption) -> Path:
    (folder / "plain").write_bytes(data)
    age_files.encrypt(folder / "plain", folder / "sealed", encryption)
    return folder / "sealed"


def opened(folder: Path, file: Path, key: Key) -> bytes:
    age_files.decrypt(file, folder / "opened", key)
    return (folder / "opened").read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_a_file_with_a_passphrase_is_one_that_other_programs_read(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    file = sealed(tmp_path, data, Encryption(passphrase=WORDS))
    assert passphrase.decrypt(file.read_bytes(), WORDS) == data
    assert opened(tmp_path, file, Key(passphrase=WORDS)) == data
    assert age_files.is_encrypted(file)
    assert age_files.needs_passphrase(file)


def test_what_another_program_encrypted_with_a_passphrase_is_read(tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK + 5)
    (tmp_path / "theirs").write_bytes(passphrase.encrypt(data, WORDS))
    assert opened(tmp_path, tmp_path / "theirs", Key(passphrase=WORDS)) == data


def test_a_file_to_public_keys_opens_with_the_identity_of_any_of_them(
    tmp_path: Path, identity: x25519.Identity
) -> None:
    other, data = x25519.Identity.generate(), os.urandom(CHUNK + 9)
    file = sealed(tmp_path, data, Encryption((str(other.to_public()), str(identity.to_public()))))
    for one in (identity, other):
        assert opened(tmp_path, file, Key(f"# created: today\n# public key: age1…\n{one}\n")) == data
    theirs = io.BytesIO()
    with file.open("rb") as source:
        decrypt_io(source, theirs, [identity])
    assert theirs.getvalue() == data
    assert not age_files.needs_passphrase(file)


def test_what_another_program_encrypted_to_a_public_key_is_read(tmp_path: Path, identity: x25519.Identity) -> None:
    (tmp_path / "theirs").write_bytes(encrypt(b"data" * CHUNK, [identity.to_public()]))
    assert opened(tmp_path, tmp_path / "theirs", Key(str(identity))) == b"data" * CHUNK


@pytest.mark.parametrize("place", [30, 60, 120, 200, 217 + CHUNK, -1])
@pytest.mark.parametrize("is_public", [True, False])
def test_a_changed_byte_anywhere_is_found(
    tmp_path: Path, identity: x25519.Identity, place: int, *, is_public: bool
) -> None:
    encryption, key = (
        (Encryption((str(identity.to_public()),)), Key(str(identity)))
        if is_public
        else (Encryption(passphrase=WORDS), Key(passphrase=WORDS))
    )
    file = sealed(tmp_path, os.urandom(2 * CHUNK), encryption)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(WrongKey):
        opened(tmp_path, file, key)


@pytest.mark.parametrize("kept", [10, 150, 200 + CHUNK, 216 + 2 * (CHUNK + 16)])
@pytest.mark.parametrize("is_public", [True, False])
def test_a_file_that_was_cut_off_is_found(
    tmp_path: Path, identity: x25519.Identity, kept: int, *, is_public: bool
) -> None:
    encryption, key = (
        (Encryption((str(identity.to_public()),)), Key(str(identity)))
        if is_public
        else (Encryption(passphrase=WORDS), Key(passphrase=WORDS))
    )
    file = sealed(tmp_path, os.urandom(3 * CHUNK), encryption)
    os.truncate(file, kept)
    with pytest.raises(WrongKey):
        opened(tmp_path, file, key)


def test_the_wrong_key_is_told_in_a_sentence(tmp_path: Path, identity: x25519.Identity) -> None:
    file = sealed(tmp_path, b"data", Encryption(passphrase=WORDS))
    with pytest.raises(WrongKey, match="This is not the passphrase"):
        opened(tmp_path, file, Key(passphrase="another one, as long"))
    file = sealed(tmp_path, b"data", Encryption((str(x25519.Identity.generate().to_public()),)))
    with pytest.raises(WrongKey, match="can't be decrypted with this identity"):
        opened(tmp_path, file, Key(str(identity)))
    with pytest.raises(WrongKey, match="wasn't encrypted with a passphrase"):
        opened(tmp_path, file, Key(passphrase=WORDS))
    with pytest.raises(WrongKey, match="isn't one of age"):
        opened(tmp_path, file, Key("AGE-SECRET-KEY-1NONSENSE"))
    with pytest.raises(WrongKey, match="is empty"):
        opened(tmp_path, file, Key("# nothing\n"))


def test_a_file_that_asks_for_gigabytes_of_memory_is_refused(tmp_path: Path) -> None:
    file = sealed(tmp_path, b"data", Encryption(passphrase=WORDS))
    file.write_bytes(file.read_bytes().replace(b" 17\n", b" 30\n"))
    with pytest.raises(WrongKey, match="too much work"):
        opened(tmp_path, file, Key(passphrase=WORDS))


def test_a_beginning_without_an_end_is_refused_at_once(tmp_path: Path, identity: x25519.Identity) -> None:
    file = tmp_path / "file.age"
    file.write_bytes(b"age-encryption.org/v1\n" + b"-> x a\n\n" * 100_000)
    began = time.process_time()
    with pytest.raises(WrongKey, match="damaged, or names too many"):
        opened(tmp_path, file, Key(str(identity)))
    assert time.process_time() - began < 1


def test_as_many_public_keys_as_anybody_has_are_taken(tmp_path: Path, identity: x25519.Identity) -> None:
    others = [str(x25519.Identity.generate().to_public()) for _ in range(100)]
    file = sealed(tmp_path, b"data", Encryption((*others, str(identity.to_public()))))
    assert opened(tmp_path, file, Key(str(identity))) == b"data"


def test_secrets_are_in_no_text_about_them() -> None:
    assert WORDS not in repr((Encryption(passphrase=WORDS), Key(passphrase=WORDS), Key(identities=WORDS)))
    assert not UNENCRYPTED
    assert Encryption(passphrase=WORDS)

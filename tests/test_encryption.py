"""Encrypted texts: readable with the key and in their place only."""

import secrets

import pytest

from crypto_checkout.encryption import KEY_BYTES, Cipher, is_encrypted

SECRET = "whsec_q5cVYbDvnTz0Kx2mWj8Rp4LsEg7uHfAo9iZt3yQdNkI="
KEY, OTHER = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)


def test_a_text_comes_back_and_is_not_in_what_is_stored() -> None:
    encrypted = Cipher([KEY]).encrypt(SECRET, "here")
    assert is_encrypted(encrypted)
    assert not is_encrypted(SECRET)
    assert SECRET[6:20] not in encrypted
    assert Cipher([KEY]).decrypt(encrypted, "here") == SECRET


def test_the_same_text_is_never_encrypted_alike() -> None:
    assert len({Cipher([KEY]).encrypt(SECRET, "here") for _ in range(100)}) == 100


def test_a_text_is_worth_nothing_in_another_place() -> None:
    assert Cipher([KEY]).decrypt(Cipher([KEY]).encrypt(SECRET, "here"), "there") is None


def test_a_changed_text_is_not_read() -> None:
    cipher = Cipher([KEY])
    encrypted = cipher.encrypt(SECRET, "here")
    for place in range(0, len(encrypted), 5):
        changed = encrypted[:place] + ("A" if encrypted[place] != "A" else "B") + encrypted[place + 1 :]
        assert cipher.decrypt(changed, "here") is None


@pytest.mark.parametrize("text", ["", "whsec_abc", "aes256gcm:", "aes256gcm:key:!", "aes256gcm::", SECRET])
def test_what_was_never_encrypted_is_not_read(text: str) -> None:
    assert Cipher([KEY]).decrypt(text, "here") is None


def test_older_keys_only_decrypt() -> None:
    encrypted = Cipher([OTHER]).encrypt(SECRET, "here")
    both = Cipher([KEY, OTHER])
    assert both.decrypt(encrypted, "here") == SECRET
    assert Cipher([OTHER]).decrypt(both.encrypt(SECRET, "here"), "here") is None
    assert Cipher([KEY]).decrypt_all([encrypted, both.encrypt("new", "here")], "here") == ["new"]


def test_a_cipher_needs_a_whole_key() -> None:
    for keys in ([], [b"short"], [KEY, b""]):
        with pytest.raises(ValueError, match="key"):
            Cipher(keys)

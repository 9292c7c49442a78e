"""The key beside the database: made once, for its owner only, and never replaced."""

import multiprocessing
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from crypto_checkout.core.errors import FatalError
from crypto_checkout.store import secret_key
from crypto_checkout.store.secret_key import open_cipher


def test_a_missing_key_is_made_for_its_owner_only_and_used_from_then_on(tmp_path: Path) -> None:
    encrypted = open_cipher(tmp_path).encrypt("secret", "here")
    assert stat.S_IMODE(secret_key.path(tmp_path).stat().st_mode) == 0o600
    assert open_cipher(tmp_path).decrypt(encrypted, "here") == "secret"
    assert [each.name for each in tmp_path.iterdir()] == [secret_key.NAME]


def test_all_who_begin_at_once_use_one_key(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        encrypted = list(processes.map(_encrypt, [tmp_path] * 8))
    cipher = open_cipher(tmp_path)
    assert {cipher.decrypt(each, "here") for each in encrypted} == {"secret"}


def _encrypt(folder: Path) -> str:
    return open_cipher(folder).encrypt("secret", "here")


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff\xfe", b"=\n", b"A" * 43 + b"\n"])
def test_a_damaged_key_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    secret_key.path(tmp_path).write_bytes(content)
    with pytest.raises(FatalError, match="damaged"):
        open_cipher(tmp_path)
    assert secret_key.path(tmp_path).read_bytes() == content


def test_a_brought_key_decrypts_and_the_own_one_goes_on_encrypting(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    brought, own = open_cipher(there), open_cipher(here)
    copy = secret_key.copy_to_backup(there, there / "copy.db")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    for _ in range(2):
        assert secret_key.bring(there / "copy.db", here)
    assert len(secret_key.read(secret_key.path(here))) == 2
    both = open_cipher(here)
    assert both.decrypt(brought.encrypt("old", "place"), "place") == "old"
    assert own.decrypt(both.encrypt("new", "place"), "place") == "new"
    assert not secret_key.bring(there / "other.db", here)

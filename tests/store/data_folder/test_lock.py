"""One server per data folder, however the one before it ended."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crypto_checkout.core.errors import FolderInUse
from crypto_checkout.store.data_folder.lock import FolderLock

CHILD = """
import pathlib, sys
from crypto_checkout.store.data_folder.lock import FolderLock
with FolderLock(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the lock until its input ends or it is killed."""
    command = [sys.executable, "-c", CHILD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208


def test_a_second_server_is_told_which_process_holds_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(FolderInUse) as refusal:
            FolderLock(tmp_path).acquire()
        assert str(refusal.value) == (
            f"{tmp_path} is already served by process {process.pid}. Stop it first (kill {process.pid}), or give this "
            "server its own [database] path and [server] port."
        )


def test_a_holder_that_has_not_said_its_number_yet_is_not_guessed(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as lock:
        lock.path.write_text("")
        with pytest.raises(FolderInUse, match=r"already served by another process\. Stop it first, or give"):
            FolderLock(tmp_path).acquire()


def test_the_lock_is_free_after_a_kill(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        with FolderLock(tmp_path) as lock:
            assert lock.path.read_text() == f"{os.getpid()}\n"


def test_the_lock_is_free_after_an_orderly_end(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.communicate("end\n")
        assert process.returncode == 0
        with FolderLock(tmp_path):
            pass


def test_a_released_lock_can_be_taken_again_and_names_nobody_meanwhile(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    for _ in range(3):
        lock.acquire()
        lock.release()
        assert lock.path.read_text() == ""
    lock.release()


def test_a_lock_does_not_let_in_a_second_one_of_the_same_process(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as lock:
        for _ in range(2):
            with pytest.raises(FolderInUse, match=f"process {os.getpid()}"):
                lock.acquire()
        with holder(tmp_path / "another"):
            pass


def test_a_refusal_leaks_no_descriptor(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        before = descriptors()
        for _ in range(50):
            with pytest.raises(FolderInUse):
                FolderLock(tmp_path).acquire()
        assert descriptors() <= before, "and fewer where something of an earlier test was closed meanwhile"


def test_a_missing_folder_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700

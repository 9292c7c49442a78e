"""A small disk of the test's own, which can be filled, emptied and made read-only. Mounting needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class Disk:
    """A mounted disk: `folder` is on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, *, but: int = 0) -> None:
        """Fill it, all but so many bytes, whatever others write meanwhile."""
        with self._ballast.open("ab") as file:
            while (room := self._free_bytes() - but) > 0:
                with suppress(OSError):  # less is left than there was
                    os.posix_fallocate(file.fileno(), self._ballast.stat().st_size, room)

    def _free_bytes(self) -> int:
        room = os.statvfs(self.folder)
        return room.f_bavail * room.f_bsize

    def make_room(self) -> None:
        """Free what `fill` took."""
        self._ballast.unlink()

    def make_read_only(self) -> None:
        """Mount it for reading only."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: int = 8) -> Iterator[Disk]:
    """Mount a disk of this size on a new folder; skip the test where that isn't allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a disk that can be filled is mounted by root only")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class FailingDisk:
    """A disk with a journal, in a file: `folder` is on it. Its first error makes it read-only, as most are set up."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self._image = image

    def mount(self) -> None:
        options = ["-o", "loop,errors=remount-ro"]
        subprocess.run(["mount", *options, str(self._image), str(self.folder)], check=True, capture_output=True)

    def fail(self) -> None:
        """Have the kernel find an error on it."""
        source = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", str(self.folder)], check=True, capture_output=True, text=True
        ).stdout.strip()
        Path("/sys/fs/ext4", Path(source).name, "trigger_fs_error").write_text("1", "ascii")

    def mount_again(self) -> None:
        """Check it and mount it for writing, as whoever runs the machine does."""
        subprocess.run(["umount", str(self.folder)], check=True)
        subprocess.run(["fsck.ext4", "-p", "-f", str(self._image)], check=False, capture_output=True)
        self.mount()


@contextmanager
def failing_disk(folder: Path, megabytes: int = 32) -> Iterator[FailingDisk]:
    """Mount such a disk on a new folder; skip the test where that isn't allowed."""
    folder.mkdir()
    image = folder.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    disk = FailingDisk(folder, image)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        disk.mount()
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("a disk that fails is mounted by root only, where there is ext4")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def write_protected(*paths: Path) -> Iterator[None]:
    """Make files or folders immutable for everybody, root too; skip the test where that isn't allowed."""
    named = [str(path) for path in paths]
    try:
        changed = subprocess.run(["chattr", "+i", *named], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        changed = False
    try:
        if not changed:
            pytest.skip("files are made immutable by root only, and not on every file system")
        yield
    finally:
        if changed:
            subprocess.run(["chattr", "-i", *named], check=True)

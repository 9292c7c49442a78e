"""Write, move and link files so that neither a crash nor another program can lose one."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.(?P<kind>checkout-part|part)(-journal|-wal|-shm)?")


def write(path: Path, text: str) -> None:
    """Write a small file whole or not at all: what fails, on a full disk for example, leaves the old one."""
    with part_of(path) as part:
        part.write_text(text, "utf-8")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Yield an empty file beside a path, readable by its owner only, and remove it at the end.

    It is locked while it is in use, so that `remove_parts` tells it from those of killed processes.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.checkout-part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield part
    finally:
        _remove(part)
        os.close(descriptor)


def remove_parts(path: Path) -> None:
    """Remove the parts that killed processes left in a path's folder, as far as possible.

    Earlier versions wrote parts without a lock: these are removed if they belong to this path and their process has
    ended.
    """
    with suppress(OSError):
        for part in sorted(path.parent.glob(".*part*")):
            found = _PART.fullmatch(part.name)
            if found is None:
                continue
            is_ours = found["kind"] == "checkout-part" or (found["name"] == path.name and not _runs(int(found["pid"])))
            if is_ours and not _is_in_use(part):
                _remove(part)


def _remove(part: Path) -> None:
    for ending in ("-journal", "-wal", "-shm", ""):
        part.with_name(part.name + ending).unlink(missing_ok=True)


def _is_in_use(part: Path) -> bool:
    """Tell whether a process holds a part's lock; a log beside it belongs to the part."""
    main = part.with_name(re.sub(r"-(journal|wal|shm)$", "", part.name))
    try:
        # Without waiting: somebody's pipe of such a name would be waited for without end.
        descriptor = os.open(main, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def link(path: Path, to: Path) -> None:
    """Give a file a second name, or move it there on a file system without links. Raises FileExistsError."""
    try:
        # A rename would overwrite a file that appeared meanwhile; a link refuses.
        to.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError:
        # No links here (FAT, some mounts): take the name first, then fill it.
        to.touch(exist_ok=False)
        try:
            path.replace(to)
        except OSError:
            to.unlink()
            raise


def sync_folder(folder: Path) -> None:
    """Write a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if it is gone, or never was."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def force(descriptor: int) -> None:
    """Write an open file's data to the disk, and drop it from the memory where the system can."""
    os.fsync(descriptor)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

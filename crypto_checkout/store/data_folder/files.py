"""Steps by which a file is put in its place so that neither a crash nor another program can lose one."""

import os
from pathlib import Path


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
        path.replace(to)


def sync_folder(folder: Path) -> None:
    """Write a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A process of its own that makes a backup for the server: what it computes, reads and writes holds up no answer.

It has the lowest priority. It reads its job from the standard input, a line of JSON, so that no passphrase is in the
list of processes, and ends when that input does: a backup never outlives the server that asked for it. It writes its
progress to the standard output, and what came of it last, each as a line of JSON.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from crypto_checkout.core import moments
from crypto_checkout.core.backups import Rotation
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.age_files import Encryption
from crypto_checkout.store.backups.making import BackupRunning, Job, make
from crypto_checkout.store.data_folder.snapshot import Note
from crypto_checkout.store.faults import advice

_LOWEST_PRIORITY = 19
ORPHANED = 3
"""The exit code of a process whose server has ended."""


def to_line(job: Job, at: datetime) -> bytes:
    """Write a job as a line."""
    told = {
        "database": str(job.database),
        "folder": str(job.folder),
        "recipients": job.encryption.recipients,
        "passphrase": job.encryption.passphrase,
        "daily": job.rotation.daily,
        "weekly": job.rotation.weekly,
        "at": moments.to_text(at),
    }
    return json.dumps(told).encode() + b"\n"


def work(source: BinaryIO, target: BinaryIO) -> None:
    """Do the job that the input names, and tell what came of it."""
    job, at = _from_line(source.readline())
    with suppress(OSError):
        os.nice(_LOWEST_PRIORITY)
    threading.Thread(target=_end_with, args=(source,), daemon=True).start()

    def tell(**what: Any) -> None:
        target.write(json.dumps(what).encode() + b"\n")
        target.flush()

    try:
        made = make(job, at, _in_percent(lambda step, percent: tell(step=step, percent=percent)))
    except BackupRunning as error:
        tell(failed=str(error), running=True)
    except FatalError as error:
        tell(failed=str(error))
    except OSError as error:
        place = error.filename or job.folder
        tell(failed=f"{place} can't be used: {error.strerror or error}. {advice(error, job.folder)}")
    else:
        tell(made=made.name)


def _from_line(line: bytes) -> tuple[Job, datetime]:
    told = json.loads(line)
    job = Job(
        Path(told["database"]),
        Path(told["folder"]),
        Encryption(tuple(told["recipients"]), told["passphrase"]),
        Rotation(told["daily"], told["weekly"]),
    )
    return job, moments.from_text(told["at"])


def _in_percent(tell: Callable[[str, int], None]) -> Note:
    """Return what tells each step and each percent of it once."""
    last: tuple[str, int] | None = None

    def note(step: str, share: float) -> None:
        nonlocal last
        if (now := (step, int(100 * share))) != last:
            last = now
            tell(*now)

    return note


def _end_with(source: BinaryIO) -> None:
    """End the process when its input ends: the server that holds the other end has ended."""
    # Not by `source.read()`: the interpreter can't end while a thread holds the lock of the standard input.
    while os.read(source.fileno(), 4096):
        pass
    sys.stderr.flush()
    os._exit(ORPHANED)

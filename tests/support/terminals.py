"""A program with a terminal of its own, at which a person types."""

import os
import pty
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.server import PROGRAM, environment

_SECONDS = 120


def typed_at(folder: Path, arguments: Sequence[str], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Run `crypto-checkout` on a terminal, answer its questions one by one; return its exit code and the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *PROGRAM, *arguments],
        cwd=folder,
        env=environment(folder=folder),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    left, screen, seen = list(answers), "", 0
    try:
        while select.select([ours], [], [], _SECONDS)[0]:
            try:
                screen += os.read(ours, 4096).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                break
            if left and left[0][0] in screen[seen:]:
                seen = len(screen)
                os.write(ours, f"{left.pop(0)[1]}\n".encode())
        return process.wait(_SECONDS), screen.replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(ours)

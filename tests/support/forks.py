"""The program as a process of its own that needs no time to import it: forked from one that has.

Each process of tests keeps one such process (multiprocessing's fork server). A fork gets its folder, its environment
and its output before it runs the command line's `main`, and is killed, stopped and asked for its end like any other.
Imports of the standard library only: a fork reads this module before anything else.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

IMPORTED = ("crypto_checkout.app.server", "crypto_checkout.cli.serve", "uvicorn", "uvloop", "httptools", "web3")
"""What is imported before a fork: what any server needs."""

_alone = threading.Lock()


class Fork:
    """A running `crypto-checkout`, with the methods of `subprocess.Popen` that tests use.

    Args:
        arguments: those of the command line.
        folder: where it runs.
        environ: its whole environment.
        out: the file that takes its standard output.
        err: the file that takes its errors and its log.
    """

    def __init__(
        self, arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str], out: Path, err: Path
    ) -> None:
        out.touch()
        err.touch()
        self._process = _server().Process(
            target=_run, args=(list(arguments), str(folder), dict(environ), str(out), str(err))
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal's number; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired("crypto-checkout", timeout or 0)
        return code

    def send_signal(self, which: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and its exit code is on the way
                os.kill(self.pid, which)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _server() -> ForkServerContext:
    """Start the process that forks, unless it runs; it ends with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    with _alone, _environment({**os.environ, "PYTHONWARNINGS": "error"}):
        forkserver.ensure_running()
    return context


@contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    _set_environment(environ)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)


def _run(arguments: list[str], folder: str, environ: dict[str, str], out: str, err: str) -> None:
    """Be the program, in the fork. Warnings are errors, as where PYTHONWARNINGS says so."""
    _set_environment(environ)
    time.tzset()
    os.chdir(folder)
    warnings.resetwarnings()
    warnings.simplefilter("error")
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    from crypto_checkout.cli import main

    sys.argv = ["crypto-checkout", *arguments]
    main(prog_name="crypto-checkout")

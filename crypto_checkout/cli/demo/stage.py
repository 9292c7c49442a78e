"""The demo's folder and programs, which are cleaned up at the end, on Ctrl-C and after a failure."""

import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
_POLL_SECONDS = 0.02
_STOP_SECONDS = 5
_LAST_LINES = 15


class StepFailed(Exception):
    """A step failed; the message gives the reason."""


class Stage:
    """The folder and the programs of one demo, cleaned up at its end.

    Meanwhile SIGTERM and SIGHUP act like Ctrl-C, and `StepFailed` is raised at the deadline, wherever the main thread
    is then.
    """

    def __init__(self, environ: Mapping[str, str], *, deadline_seconds: float) -> None:
        # The user's own configuration stays out.
        self.environ = {name: value for name, value in environ.items() if not name.startswith("CHECKOUT_")}
        self.folder = Path()
        self._deadline_seconds = deadline_seconds
        self._stack = ExitStack()
        self._processes: list[Process] = []
        self._is_starting = False
        self._put_off: BaseException | None = None

    def __enter__(self) -> Self:
        for each in _ENDING:
            self._stack.callback(signal.signal, each, signal.signal(each, self._end))
        self.folder = Path(tempfile.mkdtemp(prefix="crypto-checkout-demo-"))
        self._stack.callback(shutil.rmtree, self.folder)
        signal.setitimer(signal.ITIMER_REAL, self._deadline_seconds)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each in _ENDING:
            signal.signal(each, signal.SIG_IGN)  # A second Ctrl-C must not leave anything behind.
        self._stack.close()

    def enter(self, thing: AbstractContextManager[T]) -> T:
        """Enter a context that ends with the demo."""
        return self._stack.enter_context(thing)

    def start(self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None) -> "Process":
        """Start a program in the folder; `more` is added to its environment."""
        # Signals wait: interrupted halfway, this would leave an unknown process behind.
        self._is_starting = True
        process = self.enter(Process(name, command, self.folder, {**self.environ, **(more or {})}))
        self._is_starting = False
        if self._put_off is not None:
            raise self._put_off
        self._processes.append(process)
        return process

    def last_lines(self) -> list[str]:
        """Return the last lines of a program's output: of one that failed, else of the one started last."""
        failed = [process for process in self._processes if process.has_failed]
        return [
            f"{process.name}: {line}"
            for process in (failed or self._processes)[-1:]
            for line in process.output.splitlines()[-_LAST_LINES:]
        ]

    def _end(self, number: int, _: FrameType | None) -> None:
        late = StepFailed(f"It did not finish within {self._deadline_seconds:g} s.")
        reason = late if number == signal.SIGALRM else KeyboardInterrupt()
        if not self._is_starting:
            raise reason
        self._put_off = reason


class Process:
    """A program whose output goes to a file."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the demo's own programs, without a shell
                command,
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C on a terminal is for the demo, which ends its programs in order.
            )

    @property
    def has_failed(self) -> bool:
        """True once the program has ended with an error."""
        return bool(self._process.poll())

    @property
    def output(self) -> str:
        """The output so far."""
        return self._log.read_text("utf-8", "replace")

    def wait_for(self, pattern: re.Pattern[str]) -> str:
        """Return the first group of a pattern once the output matches. Raises StepFailed if the program ends before."""
        while True:
            has_ended = self._process.poll() is not None
            if found := pattern.search(self.output):
                return found[1]
            if has_ended:
                raise StepFailed(f"{self.name} ended with code {self._process.returncode}.")
            time.sleep(_POLL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

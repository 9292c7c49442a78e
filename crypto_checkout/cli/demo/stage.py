"""The demo's folder and programs, and that nothing of them is left: not at the end, not on Ctrl-C, not on a failure."""

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
_LOOK_SECONDS = 0.02
_STOP_SECONDS = 5
_LAST_LINES = 15


class StepFailed(Exception):
    """A step did not happen; the message says why."""


class Stage:
    """The surroundings of one demo, which end with it.

    While it lasts, SIGTERM and SIGHUP do what Ctrl-C does, and `StepFailed` is raised at the deadline, wherever the
    main thread is then.
    """

    def __init__(self, environ: Mapping[str, str], *, deadline_seconds: float) -> None:
        # Nothing of the user's own configuration.
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
        """Have something end with the demo."""
        return self._stack.enter_context(thing)

    def start(self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None) -> "Process":
        """Start a program in the folder; `more` is added to its environment."""
        # Interrupted halfway, there would be a process that nobody knows of.
        self._is_starting = True
        process = self.enter(Process(name, command, self.folder, {**self.environ, **(more or {})}))
        self._is_starting = False
        if self._put_off is not None:
            raise self._put_off
        self._processes.append(process)
        return process

    def last_lines(self) -> list[str]:
        """Return the end of what a program said: one that failed, else the one that was started last."""
        failed = [process for process in self._processes if process.has_failed]
        return [
            f"{process.name}: {line}"
            for process in (failed or self._processes)[-1:]
            for line in process.output.splitlines()[-_LAST_LINES:]
        ]

    def _end(self, number: int, _: FrameType | None) -> None:
        late = StepFailed(f"It is not done after {self._deadline_seconds:g} s.")
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
        """Tell whether it has ended, and not well."""
        return bool(self._process.poll())

    @property
    def output(self) -> str:
        """All it has said."""
        return self._log.read_text("utf-8", "replace")

    def wait_for(self, pattern: re.Pattern[str]) -> str:
        """Return the first group of the pattern once the output has it. Raises Failed when the program ends before."""
        while True:
            has_ended = self._process.poll() is not None
            if found := pattern.search(self.output):
                return found[1]
            if has_ended:
                raise StepFailed(f"{self.name} ended with code {self._process.returncode}.")
            time.sleep(_LOOK_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

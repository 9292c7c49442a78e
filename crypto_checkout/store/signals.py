"""Signals between the processes of one database: a commit of any of them wakes the loops that wait for it.

A signal only saves time. Losing one loses nothing: what it is about is in the database, and the next poll finds it.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

Argument = bool | int | str


class Signal:
    """A callback of `WriteUnit.after_commit` that other processes of the database call too, each its own.

    It is called with arguments that are written as JSON.
    """

    def __init__(self, name: str, wake: Callable[..., None]) -> None:
        self.name = name
        self._wake = wake

    def __call__(self, *arguments: Argument) -> None:
        """Wake this process's own loops."""
        self._wake(*arguments)


class Signals:
    """The signals of a process by their names, and the notices by which they reach other processes."""

    def __init__(self) -> None:
        self._known: dict[str, Signal] = {}

    def make(self, name: str, wake: Callable[..., None]) -> Signal:
        """Return a signal; `wake` is called for those of other processes too."""
        self._known[name] = Signal(name, wake)
        return self._known[name]

    def receive(self, notice: str) -> None:
        """Call what a notice of another process names; one that isn't known here is left alone."""
        name, *arguments = json.loads(notice)
        if name in self._known:
            self._known[name](*arguments)


def notices(callbacks: Iterable[tuple[Callable[..., None], tuple[Any, ...]]]) -> list[str]:
    """Return the notices of the signals among callbacks, each once."""
    found = (json.dumps([each.name, *arguments]) for each, arguments in callbacks if isinstance(each, Signal))
    return list(dict.fromkeys(found))

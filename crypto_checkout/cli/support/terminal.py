"""Questions to the person at the terminal itself, wherever input and output go: secrets must not come from a pipe."""

import getpass
from pathlib import Path
from typing import NoReturn

from crypto_checkout.cli.support.setup import fail

_TERMINAL = Path("/dev/tty")


def ask(question: str) -> str:
    """Ask on the terminal; the answer is shown as it is typed."""
    try:
        with _TERMINAL.open("w") as screen, _TERMINAL.open("r", encoding="utf-8", errors="replace") as keyboard:
            screen.write(question)
            screen.flush()
            return keyboard.readline().strip()
    except OSError:
        _fail()


def ask_hidden(question: str) -> str:
    """Ask on the terminal without showing the answer."""
    try:
        _TERMINAL.open("w").close()
    except OSError:
        _fail()
    return getpass.getpass(question)


def _fail() -> NoReturn:
    fail("This asks for secrets on a terminal: run it in one, not from a script.")

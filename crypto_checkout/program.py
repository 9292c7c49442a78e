"""The command that starts this very program again, however it was installed."""

import sys


def is_one_file() -> bool:
    """Tell whether this is the one file that `scripts/build` makes."""
    return bool(getattr(sys, "frozen", False))


def own_command() -> list[str]:
    """Return the command, to add arguments to. It loads no module from the folder in which it is started (-P)."""
    return [sys.executable] if is_one_file() else [sys.executable, "-P", "-m", "crypto_checkout"]

"""File descriptors, which files and connections share: the process's limit, its shares, and whether few are left.

Connections from outside get a share of their own (`http.entry.connection_limits`), so that no crowd of them takes what
the database, the chains and the webhooks need.
"""

import os
import resource

from crypto_checkout.core.errors import TooFewDescriptors

LEAST = 64
"""The smallest limit that a server starts with; it holds some 30 descriptors before it has a single connection."""
WANTED = 16_640
"""The limit it asks for: 16,384 connections, and what it keeps for itself."""
FEW = 1024
"""A limit below this is named in the log: a busy hour may need more connections than it allows."""
SCARCE = 8
"""The number left from which on the next connection to a node or an endpoint may find none."""

_LEAST_KEPT = 48
_MOST_KEPT = 256


def raise_limit() -> int:
    """Raise the process's limit as far as the system lets it, up to what is wanted; return it.

    Raises:
        TooFewDescriptors: the system allows fewer than the server needs.

    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    if soft < LEAST:
        raise TooFewDescriptors(
            f"This process may open {soft} files and connections at once; the server needs {LEAST} at least, and "
            f"{WANTED:,} for the most payers. {advice()}"
        )
    return soft


def for_connections(limit: int) -> int:
    """Return how many of a limit's descriptors connections from outside may take; the server keeps the others."""
    return limit - min(_MOST_KEPT, max(_LEAST_KEPT, limit // 2))


def are_scarce() -> bool:
    """Tell whether hardly any descriptor is left.

    A new descriptor gets the lowest free number, so all numbers below it are taken.
    """
    try:
        lowest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    os.close(lowest)
    return lowest >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SCARCE


def advice() -> str:
    """Return how to get more of them, as a sentence."""
    return (
        f"Raise the limit (LimitNOFILE={WANTED} in the systemd unit, `ulimit -n {WANTED}` in a shell, "
        f"--ulimit nofile={WANTED} for a container), then start it again."
    )

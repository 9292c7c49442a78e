"""Ports for programs that can't listen on port 0 and say which they got, and for those that come back to their port.

A port that the system picked and that was let go may be picked again before the program listens there: by another
server, or as the near end of anybody's connection. The system never picks these, and no other process of the same run.
"""

import os
import random
import socket
from pathlib import Path

_PICKED = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 12_000
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

_chance = random.SystemRandom()  # not what tests seed
_given_out: set[int] = set()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens; a process gets each of them once."""
    while True:
        port = _chance.randrange(_LOWEST + _PROCESS, _lowest_picked(), _PROCESSES)
        if port not in _given_out and _is_free(port):
            _given_out.add(port)
            return port


def _lowest_picked() -> int:
    """Return the first port that the system picks: 32768 by default. Where that leaves few below, take some of them."""
    picked = int(_PICKED.read_text("ascii").split()[0]) if _PICKED.exists() else 32_768
    return max(picked, _LOWEST + 10_000)


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True

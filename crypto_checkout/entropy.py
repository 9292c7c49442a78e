"""Random bytes for ids, fetched from the operating system in batches.

The system call releases the interpreter's lock; getting it back while the database's threads are busy took 160 µs an
id, as long as the rest of a small request. Keys and secrets are rare, and come from `secrets` directly.
"""

import secrets
import threading

_FETCHED_BYTES = 4096


class Entropy:
    """Random bytes from the operating system, each used once; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = b""
        self._place = 0

    def take(self, count: int) -> bytes:
        """Return `count` random bytes."""
        with self._lock:
            if self._place + count > len(self._bytes):
                self._bytes = secrets.token_bytes(max(_FETCHED_BYTES, count))
                self._place = 0
            self._place += count
            return self._bytes[self._place - count : self._place]

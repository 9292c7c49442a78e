"""Random bytes for ids, fetched from the system many at a time.

The system call lets go of the interpreter's lock, and waiting for it again, with the database's threads at work, cost
160 µs an id: as much as the rest of a small request.

Keys and secrets don't come from here; they are rare, and `secrets` is the word to look for there.
"""

import secrets
import threading

_FETCHED_BYTES = 4096


class Entropy:
    """Random bytes of the operating system, each given out once; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = b""
        self._place = 0

    def take(self, count: int) -> bytes:
        """Return so many random bytes."""
        with self._lock:
            if self._place + count > len(self._bytes):
                self._bytes = secrets.token_bytes(max(_FETCHED_BYTES, count))
                self._place = 0
            self._place += count
            return self._bytes[self._place - count : self._place]

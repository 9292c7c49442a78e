"""The other processes that serve the same database: how many there are, and the notices that they send each other.

Each process listens through a session of its own, on a thread of its own. A notice travels with a commit (NOTIFY), and
one that is lost, because the session was, is made up for by the next poll of whoever waits.
"""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks
from crypto_checkout.store.postgresql.session import connect, cut_off_after
from crypto_checkout.store.units import EngineConnection

_CHANNEL = "crypto_checkout"
_COUNT_EVERY_SECONDS = 1.0
_RETRY_SECONDS = 0.5
_ANSWER_SECONDS = 10.0
_JOINED = '["joined"]'
_MOST_BYTES = 7_500  # of the 8,000 that a notice may have
_TELL = f"SELECT pg_notify('{_CHANNEL}', :text)"
_SERVING = locks.holders(locks.SERVE).encode()


class Peers:
    """The other processes, as this one knows them. `receive` is called on the event loop with each of their notices."""

    def __init__(self, server: DatabaseServer, receive: Callable[[str], None]) -> None:
        self.processes = 1
        """The number of processes that serve the database, this one included, as of a second ago at most."""
        self.fewer_since = 0.0
        """The monotonic time at which they were last found to be fewer than before; what those wrote is older."""
        self._server = server
        self._receive = receive
        self._name = secrets.token_hex(8)
        self._loop = asyncio.get_running_loop()
        self._is_over = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postgresql notices", daemon=True)

    async def open(self) -> None:
        """Begin to listen, and tell the others that this process is there."""
        self._thread.start()
        await asyncio.to_thread(self._first.wait, _COUNT_EVERY_SECONDS)

    async def close(self) -> None:
        """Stop listening."""
        self._is_over.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def tell(self, connection: EngineConnection, notices: Sequence[str]) -> None:
        """Send notices with the transaction of a connection, if there is anybody to tell."""
        if self.processes <= 1:
            return
        text = json.dumps([self._name, *notices])
        if len(text.encode()) > _MOST_BYTES:  # hundreds of units at once
            if len(notices) == 1:
                return  # the next poll finds what it was about
            for half in (notices[: len(notices) // 2], notices[len(notices) // 2 :]):
                self.tell(connection, half)
            return
        connection.execute(_TELL, {"text": text})

    def _run(self) -> None:
        while not self._is_over.is_set():
            # OSError: no file descriptor is left, and one may be soon.
            with (
                suppress(DatabaseFailed, FatalError, psycopg.Error, OSError),
                connect(self._server, "notices") as session,
            ):
                with cut_off_after(_ANSWER_SECONDS, session):
                    session.execute(f"LISTEN {_CHANNEL}")
                    self._count(session)
                    session.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, json.dumps([self._name, _JOINED])))
                self._first.set()
                self._listen(session)
            self._is_over.wait(_RETRY_SECONDS)

    def _listen(self, session: "psycopg.Connection[Any]") -> None:
        counted_at = time.monotonic()
        while not self._is_over.is_set():
            is_new = False
            for notice in session.notifies(timeout=_COUNT_EVERY_SECONDS / 4, stop_after=1):
                is_new = self._pass_on(notice.payload) or is_new
            if is_new or time.monotonic() - counted_at >= _COUNT_EVERY_SECONDS:
                counted_at = time.monotonic()
                with cut_off_after(_ANSWER_SECONDS, session):
                    self._count(session)

    def _count(self, session: "psycopg.Connection[Any]") -> None:
        processes = max(1, len(session.execute(_SERVING).fetchall()))
        if processes < self.processes:
            self.fewer_since = time.monotonic()
        self.processes = processes

    def _pass_on(self, payload: str) -> bool:
        """Pass the notices of another process on to the event loop; tell whether it has only just joined."""
        try:
            sender, *notices = json.loads(payload)
        except (ValueError, TypeError):
            return False  # another program's
        if sender == self._name:
            return False
        for notice in notices:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._receive, notice)
        return _JOINED in notices

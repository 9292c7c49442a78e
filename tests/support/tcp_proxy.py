"""A network between two programs, which a test cuts, slows and mends.

    with TcpProxy("/tmp/…/.s.PGSQL.5432") as network:
        connect("127.0.0.1", network.port)
        network.hang()

It answers for the other side's kernel, as a firewall does that forgets connections: whoever waits for an answer gets
none, no error, and keepalives succeed. So what bounds a wait here is the program's own.
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

_CHUNK = 65_536


class _Link:
    """One connection: two streams, and the tasks that carry what they say."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server

    def close(self, *, abort: bool = True) -> None:
        for each in (self.client, self.server):
            if abort:
                each.transport.abort()
            else:
                each.close()


class TcpProxy:
    """Listens on a free `port` of this machine, and carries bytes to a socket's path or a port of this machine."""

    def __init__(self, target: str | int) -> None:
        self.target = target
        self._delay = 0.0
        self._links: set[_Link] = set()
        self._refuses = False
        self._loop = asyncio.new_event_loop()
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="tcp proxy")
        self._thread.start()
        self.mend()
        server = self._run(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self._server: asyncio.Server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def mend(self) -> None:
        """Have everything pass again, what was held back first."""

        async def mend() -> None:
            self._refuses, self._delay = False, 0.0
            self._up.set()
            self._down.set()

        self._run(mend())

    def hang(self) -> None:
        """Let nothing pass in either direction; connections stay open, and new ones are taken."""
        self._run(self._set(up=False, down=False))

    def lose_answers(self) -> None:
        """Let questions pass and no answers: half of the network is lost."""
        self._run(self._set(up=True, down=False))

    def slow(self, seconds: float) -> None:
        """Take so long for each direction."""

        async def slow() -> None:
            self._delay = seconds

        self._run(slow())

    def cut(self) -> None:
        """Reset all connections, and refuse new ones."""

        async def cut() -> None:
            self._refuses = True
            self._reset()

        self._run(cut())

    def reset(self) -> None:
        """Reset all connections; new ones work."""

        async def reset() -> None:
            self._reset()

        self._run(reset())

    def connections(self) -> int:
        """Return the number of open connections."""
        return len(self._links)

    def close(self) -> None:
        """Close everything. Repeating is safe."""
        if self._loop.is_closed():
            return

        async def close() -> None:
            self._server.close()
            self._reset()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._run(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _set(self, *, up: bool, down: bool) -> None:
        for event, passes in ((self._up, up), (self._down, down)):
            if passes:
                event.set()
            else:
                event.clear()

    def _reset(self) -> None:
        for each in [*self._links]:
            each.close()

    async def _carry(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Carry one connection. It swallows the cancellation at the end: Python 3.11 would complain about it."""
        if self._refuses:
            client.transport.abort()
            return
        try:
            await self._up.wait()
            if isinstance(self.target, str):
                answers, server = await asyncio.open_unix_connection(self.target)
            else:
                answers, server = await asyncio.open_connection("127.0.0.1", self.target)
        except (OSError, asyncio.CancelledError):
            client.transport.abort()
            return
        link = _Link(client, server)
        self._links.add(link)
        try:
            await asyncio.gather(self._pump(reader, server, self._up), self._pump(answers, client, self._down))
        except asyncio.CancelledError:
            pass
        finally:
            self._links.discard(link)
            link.close(abort=False)

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, passes: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await passes.wait()
                to.write(data)
                await to.drain()
            await passes.wait()  # nor does an end pass where nothing does
        to.close()

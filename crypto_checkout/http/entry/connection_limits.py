"""Limits of connections that uvicorn lacks, around its own protocol: see `GuardedProtocol`.

uvicorn can limit all connections and tasks together (`limit_concurrency`, answered with 503) and the time of an idle
connection; it queues pipelined requests without end, waits for ever for clients that don't read, and knows no client's
share. Hypercorn and Granian limit none of these by client either.
"""

import asyncio
import re
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import ClassVar

import httptools
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr

from crypto_checkout import descriptors
from crypto_checkout.core import ids
from crypto_checkout.core.errors import CheckoutError, InvalidQuery, MethodUnknown
from crypto_checkout.entropy import Entropy
from crypto_checkout.http import errors
from crypto_checkout.http.rate_limit import client_name
from crypto_checkout.log import RepeatedLine, get_logger

from . import whole_answers
from .application import METHODS
from .client_address import Network, is_trusted

log = get_logger("http")

REQUEST_SECONDS = 30.0
WRITE_SECONDS = 30.0
LINGER_SECONDS = 5.0
MOST_PASSED_OVER = 4 * 1024 * 1024
MOST_HEAD_BYTES = 128 * 1024
MOST_QUEUED = 8
MOST_PER_CLIENT = 256

_METHOD = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40} ")
_TOO_LARGE = Response(status_code=431)


def most_connections() -> int:
    """Raise the limit of file descriptors, and return the number of connections that it allows.

    Raises TooFewDescriptors where the server couldn't work.
    """
    limit = descriptors.raise_limit()
    most = descriptors.for_connections(limit)
    if limit < descriptors.FEW:
        log.warning(
            "few connections at once are possible", connections=most, descriptors=limit, advice=descriptors.advice()
        )
    return most


def _share(most: int) -> int:
    """Return how many of all connections one client may have: a quarter, or a half where they are very few."""
    return max(most // 4, min(16, most // 2))


class GuardedProtocol(HttpToolsProtocol):
    """A connection with limits. `most_connections` and `trusted_proxies` are set once, at the start of the server.

    A connection is refused when there are too many, of all clients or of one; a trusted proxy may have as many as it
    likes. Refusing early keeps file descriptors for the database, the chains and the webhooks. Where all places are
    taken, a new connection gets the place of the one that has waited longest for its next request; where its client's
    are taken, that of one of the client's own that waits. It is refused if all of them are at work. An open connection
    is closed when a request takes too long to arrive, its head is too large, more than a few requests are queued, or
    the client takes nothing of its answers for too long.

    Where an answer ends the connection before the whole request has come, as a refusal may, the rest is read and
    passed over until the client closes, for a few seconds and megabytes at most: a close at once would reset the
    connection, and a client that is still sending, as nginx with a long body, would lose the answer (RFC 9112, 9.6).
    """

    most_connections = 512
    most_per_client = MOST_PER_CLIENT
    trusted_proxies: Sequence[Network] = ()
    request_seconds = REQUEST_SECONDS
    write_seconds = WRITE_SECONDS
    linger_seconds = LINGER_SECONDS

    _open: ClassVar[dict[str, dict["GuardedProtocol", None]]] = {}
    _entropy: ClassVar[Entropy] = Entropy()
    _garbage: ClassVar[RepeatedLine] = RepeatedLine()
    _crowd: ClassVar[RepeatedLine] = RepeatedLine()
    _full: ClassVar[RepeatedLine] = RepeatedLine()
    _idle: ClassVar[dict["GuardedProtocol", None]] = {}

    _client_name: str | None = None
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = False
    _is_in_message = False
    _is_lingering = False
    _passed_over = 0
    _watch: asyncio.TimerHandle | None = None
    _unsent_bytes = 0
    _has_progress = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, unless there are too many."""
        if not self._admit(transport):
            transport.abort()
            return
        super().connection_made(transport)
        self._start_deadline()
        self._watch = self.loop.call_later(self.write_seconds, self._check_progress)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers, and give the client's place back."""
        self._cancel_deadline()
        self._idle.pop(self, None)
        if self._watch is not None:
            self._watch.cancel()
        if self._client_name is not None:
            del self._open[self._client_name][self]
            if not self._open[self._client_name]:
                del self._open[self._client_name]
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and answer what is no request.

        It replaces uvicorn's own method, which logs a line for each, and writes its refusal in the place of the answer
        to an earlier request.
        """
        if self._is_lingering:
            self._passed_over += len(data)
            if self._passed_over > MOST_PASSED_OVER:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request is answered as any other; there is nothing to upgrade to
        except httptools.HttpParserError as error:
            self._refuse(error, data)
            return
        if self._is_in_message and self._deadline is None:  # most requests arrive whole, and need none
            self._start_deadline()
        self._head_bytes = self._head_bytes + len(data) if self._is_in_head else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self._close_with(_TOO_LARGE)
        self._wait_for_request()

    def on_message_begin(self) -> None:
        """Note that a request has begun: its deadline starts unless the rest is there already."""
        self._is_in_head = self._is_in_message = True
        self._idle.pop(self, None)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start or queue the request, unless too many are queued."""
        self._is_in_head = False
        if self.parser.get_method() == b"CONNECT":  # its target is no URL, which uvicorn would stumble over
            raise _UnknownMethod
        if len(self.pipeline) >= MOST_QUEUED:
            raise _TooManyQueued
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Cancel the deadline: the request is complete."""
        self._is_in_message = False
        self._cancel_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note that the client takes its answers, and that the connection may wait for a request now."""
        self._has_progress = True
        super().on_response_complete()
        self._wait_for_request()

    def _wait_for_request(self) -> None:
        """Note that the connection waits for a request, if it does, and see that it doesn't wait for ever.

        uvicorn ends its wait with whatever comes, even with what begins no request: the rest of one that was answered
        without its body, or an empty line.
        """
        cycle: RequestResponseCycle | None = self.cycle
        is_answered = cycle is not None and cycle.response_complete
        if not is_answered or self._is_in_message or self._is_lingering or self.transport.is_closing():
            return
        self._idle[self] = None
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def resume_writing(self) -> None:
        """Note that the client takes its answers."""
        self._has_progress = True
        super().resume_writing()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        """Run the application until the connection is closed.

        uvloop closes a connection before it says so, and raises on writes in between, which would be logged as faults.
        """

        def until_closed(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            async def send_while_open(message: Message) -> None:
                if self.transport.is_closing():
                    cycle.disconnected = True
                is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
                lingers = is_last and cycle.more_body and not cycle.keep_alive
                if lingers:
                    cycle.keep_alive = True  # or uvicorn would close the connection; the headers said that it ends
                await send(message)
                if lingers:
                    self._linger()

            return app(scope, receive, send_while_open)

        whole_answers.offer(cycle)
        super()._start_asgi_task(cycle, until_closed)  # type: ignore[arg-type]

    def _has_place(self) -> bool:
        """Tell whether one more connection has a place; where all are taken, close one that waits for a request."""
        if len(self.connections) < self.most_connections:
            return True
        if (times := self._full.due()) is not None:
            log.warning("all connections are taken", connections=self.most_connections, times=times)
        return self._has_closed_one(self._idle)

    def _admit(self, transport: asyncio.Transport) -> bool:
        """Note the connection as one of its client's; return False if there is no place for it."""
        peer = get_remote_addr(transport)
        if peer is None or is_trusted(peer[0], self.trusted_proxies):
            return self._has_place()
        name = client_name(peer[0])
        others = self._open.get(name, {})
        if len(others) >= min(self.most_per_client, _share(self.most_connections)):
            if (times := self._crowd.due()) is not None:
                log.warning("a client has too many connections", address=peer[0], times=times)
            has_place = self._has_closed_one(others)  # never one of another client
        else:
            has_place = self._has_place()
        if has_place:
            self._client_name = name
            self._open.setdefault(name, {})[self] = None
        return has_place

    def _has_closed_one(self, connections: Iterable["GuardedProtocol"]) -> bool:
        """Close the first of them that waits for a request; return False if none of the first few hundred does.

        More aren't looked at, as this happens for each connection that a crowd opens. One whose answer hasn't been
        taken yet is passed over: it would stay open until then, beside the one that got its place.
        """
        waiting = (each for each in islice(connections, MOST_PER_CLIENT) if each in self._idle)
        idle = next((each for each in waiting if not each.transport.get_write_buffer_size()), None)
        if idle is None:
            return False
        del self._idle[idle]
        idle.transport.close()
        return True

    def _check_progress(self) -> None:
        """Close the connection if nothing of an answer was taken since the last check."""
        unsent = self.transport.get_write_buffer_size()
        if unsent >= self._unsent_bytes > 0 and not self._has_progress:
            self._watch = None
            self.transport.abort()
            return
        self._unsent_bytes, self._has_progress = unsent, False
        self._watch = self.loop.call_later(self.write_seconds, self._check_progress)

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.request_seconds, self._time_out)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_out(self) -> None:
        """Close a connection whose request didn't arrive in time, even while it is being answered."""
        self._deadline = None
        self.transport.close()

    def _refuse(self, error: httptools.HttpParserError, data: bytes) -> None:
        if isinstance(error.__context__, _TooManyQueued):
            self.transport.abort()
            return
        refusal: CheckoutError = InvalidQuery("This is no HTTP request.")
        if isinstance(error.__context__, _UnknownMethod) or (
            isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(data)
        ):
            known = ", ".join(sorted(METHODS))
            refusal = MethodUnknown(f"This is no method of this server; it knows {known}.", allow=known)
        elif (times := self._garbage.due()) is not None:
            log.warning("what came is no HTTP", address=self.client[0] if self.client else "", times=times)
        request_id = ids.make(ids.REQUEST, datetime.now(UTC), self._entropy.take(ids.ENTROPY_BYTES))
        self._close_with(errors.answer(refusal, request_id), request_id)

    def _close_with(self, response: Response, request_id: str | None = None) -> None:
        """Close the connection with a response, unless that would be read as the answer to an earlier request."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if cycle is not None and is_answering and (cycle.response_started or not cycle.more_body or self.pipeline):
            self.transport.abort()
            return
        if request_id is None:
            request_id = ids.make(ids.REQUEST, datetime.now(UTC), self._entropy.take(ids.ENTROPY_BYTES))
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body))
        self._linger()

    def _linger(self) -> None:
        """End what is sent, pass over what still comes, and close soon: sooner if a new connection needs the place."""
        if self.transport.is_closing():
            return
        self._is_lingering = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # nothing of it is sent any more
            cycle.message_event.set()
        self.transport.write_eof()
        self._idle[self] = None
        self._unset_keepalive_if_required()
        self._cancel_deadline()
        self._deadline = self.loop.call_later(self.linger_seconds, self._time_out)


class _TooManyQueued(Exception):
    """More requests are queued than are answered at once."""


class _UnknownMethod(Exception):
    """The method is one that no path takes."""

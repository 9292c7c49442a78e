"""One request on a connection of uvicorn's, and its answer, which leaves in as few writes as it can."""

from http import HTTPStatus
from typing import Any

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

# What uvicorn refuses, byte by byte.
_BYTES = [bytes([number]) for number in range(256)]
_NOT_IN_NAMES = b"".join(each for each in _BYTES if HEADER_RE.search(each))
_NOT_IN_VALUES = b"".join(each for each in _BYTES if HEADER_VALUE_RE.search(each))


class Exchange(RequestResponseCycle):
    """An exchange whose head leaves with the body, as ASGI has it; uvicorn sends it at once, in a packet of its own.

    uvloop closes a connection before it says so, and raises on writes in between, which would be logged as faults.
    """

    _head: Message | None = None

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Send a part of the answer, unless the connection is closed."""
        if self.transport.is_closing():
            self.disconnected = True
        head = self._head
        if head is None and not self.response_started and _has_length(message):
            self._head, self.response_started = message, True
            return
        if head is not None:
            self._head = None
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            if not self.disconnected and self._is_whole(head, message):
                self._write_whole(head, message["body"])
                return
            self.response_started = False
            await super().send(head)  # type: ignore[arg-type]
        await super().send(message)  # type: ignore[arg-type]

    def _is_whole(self, head: Message, message: Message) -> bool:
        """Tell whether an answer needs nothing of uvicorn: neither its checks, nor closing the connection."""
        fields, body = dict(head["headers"]), message.get("body")
        return (
            body is not None
            and self.keep_alive
            and not message.get("more_body")
            and self.scope["method"] != "HEAD"
            and fields.get(b"content-length", b"0") == b"%d" % len(body)
            and b"connection" not in fields
            and b"transfer-encoding" not in fields
            and _is_free(b"".join(fields), _NOT_IN_NAMES)
            and _is_free(b"".join([value for _, value in head["headers"]]), _NOT_IN_VALUES)
        )

    def _write_whole(self, head: Message, body: Any) -> None:
        lines = [b": ".join(header) for header in (*self.default_headers, *head["headers"])]
        self.transport.write(STATUS_LINE[head["status"]] + b"\r\n".join([*lines, b"", body]))
        self.waiting_for_100_continue = False
        self.response_complete = True
        self.message_event.set()
        self.on_response()


def _is_free(text: bytes, characters: bytes) -> bool:
    """Tell whether a text has none of some characters, as a regular expression would, in a fifth of the time."""
    return len(text.translate(None, characters)) == len(text)


def _has_length(message: Message) -> bool:
    """Tell whether a message is a head that tells the length of the body, so that the body follows soon."""
    return message["type"] == "http.response.start" and (
        message["status"] == HTTPStatus.NOT_MODIFIED or any(name == b"content-length" for name, _ in message["headers"])
    )

"""Write a whole answer to its connection in one step, and the same one again to the next who asks.

uvicorn takes an answer in two, and reads each header several times: half of what it costs to answer a small request.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from crypto_checkout.http.headers import Header

_NAME = "whole_answers"
_DATE = b"date"  # uvicorn gives it, once a second
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})  # as uvicorn refuses them in headers
_BODILESS = frozenset({204, 304})


class Template(NamedTuple):
    """An answer as it is sent, but for the values of some headers, which differ from time to time."""

    status: int
    head: bytes
    body: bytes


class WholeAnswers:
    """The connection of one request."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def write(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """Write an answer with complete headers; return False, having written nothing, for uvicorn to do it."""
        cycle = self._cycle
        complete = [*cycle.default_headers, *headers]  # with the date
        lines = _lines(complete)
        line_breaks = 2 * (len(complete) - 1)
        if not self.is_free or len(lines) - len(lines.translate(None, _CONTROLS)) != line_breaks:
            return False
        is_bodiless = status in _BODILESS or cycle.scope["method"] == "HEAD"
        self._write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[status], lines, b"" if is_bodiless else body))
        return True

    def template(self, status: int, headers: Sequence[Header], body: bytes, varying: Collection[bytes]) -> Template:
        """Return an answer that was written to a GET, for all to whom it can be written again.

        The values of the headers that are `varying` are left open, and that of the date.
        """
        lines = [
            (name, b"%%(%b)b" % name if name == _DATE or name in varying else value.replace(b"%", b"%%"))
            for name, value in (*self._cycle.default_headers, *headers)
        ]
        head = b"%b%b\r\n\r\n" % (STATUS_LINE[status], _lines(lines))
        return Template(status, head, b"" if status in _BODILESS else body)

    def write_again(self, template: Template, values: dict[bytes, bytes]) -> None:
        """Write an answer that was kept, with the values of its open headers, to a connection that is free."""
        values.update(self._cycle.default_headers)
        self._write(template.head % values + template.body)

    @property
    def is_free(self) -> bool:
        """True while an answer can be written here: none has begun, and the connection goes on after it."""
        cycle = self._cycle
        is_begun = cycle.response_started or cycle.disconnected or cycle.flow.write_paused
        return cycle.keep_alive and not is_begun and not cycle.transport.is_closing()

    def _write(self, whole: bytes) -> None:
        cycle = self._cycle
        cycle.transport.write(whole)  # one call, because uvloop asks the system to send at each
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()


def offer(cycle: RequestResponseCycle) -> None:
    """Offer it to the application, in the request's scope."""
    scope: Scope = cycle.scope  # type: ignore[assignment]  # a typed dictionary, without keys of our own
    scope[_NAME] = WholeAnswers(cycle)


def take(scope: Scope) -> WholeAnswers | None:
    """Take what was offered; None where the application is not served by `GuardedProtocol`, as in tests.

    Left in the scope, it would be part of a reference cycle, which the garbage collector would have to find.
    """
    found: WholeAnswers | None = scope.pop(_NAME, None)
    return found


def _lines(headers: Sequence[Header]) -> bytes:
    return b"\r\n".join([b": ".join(header) for header in headers])

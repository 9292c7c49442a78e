"""Write a whole answer to its connection in one step.

uvicorn takes an answer in two, and reads each header several times: half of what it costs to answer a small request.
"""

from collections.abc import Callable, Sequence
from functools import partial

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from .compression import Header

Write = Callable[[int, Sequence[Header], bytes], bool]
"""Takes a status, the complete headers and the body; returns False, having written nothing, for uvicorn to do it."""

_NAME = "write_whole"
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})  # as uvicorn refuses them in headers
_BODILESS = frozenset({204, 304})


def offer(cycle: RequestResponseCycle) -> None:
    """Offer it to the application, in the request's scope."""
    scope: Scope = cycle.scope  # type: ignore[assignment]  # a typed dictionary, without keys of our own
    scope[_NAME] = partial(_write, cycle)


def offered(scope: Scope) -> Write | None:
    """Return what was offered; None where the application is not served by `GuardedProtocol`, as in tests."""
    found: Write | None = scope.get(_NAME)
    return found


def _write(cycle: RequestResponseCycle, status: int, headers: Sequence[Header], body: bytes) -> bool:
    if not cycle.keep_alive or cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
        return False
    complete = [*cycle.default_headers, *headers]  # with the date
    lines = b"\r\n".join([b": ".join(header) for header in complete])
    line_breaks = 2 * (len(complete) - 1)
    if len(lines) - len(lines.translate(None, _CONTROLS)) != line_breaks or cycle.transport.is_closing():
        return False
    is_bodiless = status in _BODILESS or cycle.scope["method"] == "HEAD"
    # One call, because uvloop asks the system to send at each.
    cycle.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[status], lines, b"" if is_bodiless else body))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True

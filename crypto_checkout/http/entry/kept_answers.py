"""Answers that follow from the database and the request alone: given again as long as they hold.

A handler allows it (`allow`), and says what is to be done each time in place of all else that it does. The next request
that asks for the same, in the same words, is answered before it has a route.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from starlette.types import Scope

from crypto_checkout.core.errors import CheckoutError, DatabaseFailed
from crypto_checkout.http.headers import Header, fields

from .whole_answers import Template, WholeAnswers

_MOST_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES = 4096
"""More than an entry takes beside its body and the words of the request: its headers, twice."""

Count = Callable[[Scope], dict[bytes, bytes] | None]
"""Does what a handler does each time, as counting the request; returns the values of the headers that vary, new ones.

It comes before any look at the database, so that a client over its limit causes none. It returns None where the handler
has to answer. It never raises, and notes in the scope that it has counted: the handler may have to answer all the same,
and must not count again.
"""

Holds = Callable[[], Awaitable[bool]]
"""Looks at the database, and tells whether the answer would be the same now. It may raise as the handler does."""

_ALLOWED, _PLACE = "kept_allowed", "kept_place"
_REQUEST_ID = b"x-request-id"
_KEPT = frozenset({200, 304})
_OF_BODIES = frozenset({b"content-length", b"transfer-encoding"})

_Words = tuple[str, bytes, bytes, bytes, bytes, bytes]


@dataclass(slots=True)
class KeptAnswer:
    """An answer that is given again, and the version of the database at which it held.

    Many never are, so how to write it is only worked out when it is.
    """

    words: _Words
    status: int
    headers: Sequence[Header]
    body: bytes
    route: object
    version: int | None
    count: Count
    holds: Holds
    varying: Collection[bytes]
    compared: bytes
    template: Template | None = None

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes, rather more than less."""
        compared = 0 if self.compared is self.body else len(self.compared)  # as of a compressed answer, or a 304
        return _ENTRY_BYTES + len(self.body) + compared + sum(map(len, self.words))

    async def give(self, scope: Scope, whole: WholeAnswers) -> bool:
        """Answer a request; return False if its handler has to."""
        values = self.count(scope) if whole.is_free else None
        if values is None:
            return False
        version, _ = scope[_PLACE]
        if version is None or version != self.version:
            try:
                if not await self.holds():
                    return False
            except (CheckoutError, DatabaseFailed):
                return False  # the handler meets it, too
            self.version = version
            if not whole.is_free:
                return False
        if self.template is None:
            self.template = whole.template(self.status, self.headers, self.body, {*self.varying, _REQUEST_ID})
        scope["route"] = self.route
        values[_REQUEST_ID] = scope["request_id"].encode()
        whole.write_again(self.template, values)
        return True


class KeptAnswers:
    """The answers that are kept: all are dropped when there is no room for another.

    `version` returns a number that every commit changes; while it is the same, an answer holds. It may return None, and
    then each has to be looked at. The words of a request include its API key, which so stays in memory.
    """

    def __init__(self, version: Callable[[], int | None], *, most_bytes: int = _MOST_BYTES) -> None:
        self._version = version
        self._most_bytes = most_bytes
        self._known: dict[_Words, KeptAnswer] = {}
        self._free_bytes = most_bytes

    def find(self, scope: Scope) -> KeptAnswer | None:
        """Return the answer that was given to the same request before, if it is kept."""
        words = _words(scope)
        if words is None:
            return None
        scope[_PLACE] = self._version(), words
        return self._known.get(words)

    def keep(self, scope: Scope, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Keep the answer that a request has got, if its handler allowed it."""
        # The connection has the scope until its next request, and so would have what is compared, of megabytes maybe.
        allowed = scope.pop(_ALLOWED, None)
        if allowed is None or _PLACE not in scope or status not in _KEPT:
            return
        version, words = scope[_PLACE]
        new = KeptAnswer(words, status, headers, body, scope["route"], version, *allowed)
        before = self._known.pop(words, None)
        self._free_bytes += 0 if before is None else before.size
        if new.size > self._most_bytes:
            return
        if new.size > self._free_bytes:
            self._known, self._free_bytes = {}, self._most_bytes
        self._free_bytes -= new.size
        self._known[words] = new


def allow(scope: Scope, count: Count, holds: Holds, varying: Collection[bytes], compared: bytes) -> None:
    """Allow that the answer to a request is given again as long as it `holds`.

    It must follow from the database, the path, the query, and the headers `Host`, `Authorization`, `If-None-Match` and
    `Accept-Encoding` alone, but for the headers that are `varying`, whose values `count` returns. `compared` are the
    bytes that `holds` keeps to compare with.
    """
    scope[_ALLOWED] = count, holds, varying, compared


def _words(scope: Scope) -> _Words | None:
    """Return what an answer that is kept may depend on; None for a request whose answer isn't kept."""
    found = fields(scope)
    host = found.get(b"host")
    is_plain = len(found) == len(scope["headers"]) and found.keys().isdisjoint(_OF_BODIES)
    if host is None or scope["method"] != "GET" or not is_plain:
        return None
    get = found.get
    return (
        scope["path"],
        scope["query_string"],
        host,
        get(b"authorization", b""),
        get(b"if-none-match", b""),
        get(b"accept-encoding", b""),
    )

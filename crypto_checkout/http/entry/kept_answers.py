"""Answers that follow from the database and the request alone: given again until anybody commits.

A handler allows it (`allow`), and says what is to be done each time in place of all else that it does. The next request
that asks for the same, in the same words, is answered before it has a route.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from starlette.types import Scope

from crypto_checkout.http.headers import fields

from .compression import Header
from .whole_answers import Template, WholeAnswers

_MOST_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES = 4096
"""More than an entry takes beside its body and the words of the request: its headers, twice."""

Repeat = Callable[[Scope], Mapping[bytes, bytes] | None]
"""Does what a handler does each time, as counting the request; returns the values of the headers that vary.

It returns None where the handler has to look again, and so to count it. It never raises.
"""

_ALLOWED, _PLACE = "kept_allowed", "kept_place"
_REQUEST_ID = b"x-request-id"
_KEPT = frozenset({200, 304})
_OF_BODIES = frozenset({b"content-length", b"transfer-encoding"})

_Words = tuple[str, bytes, bytes, bytes, bytes, bytes]


class KeptAnswer:
    """An answer that is given again; most aren't before the next commit, so how is only worked out when one is."""

    __slots__ = ("_body", "_headers", "_repeat", "_route", "_template", "_varying", "status")

    def __init__(self, scope: Scope, status: int, headers: Sequence[Header], body: bytes) -> None:
        self.status = status
        self._repeat, self._varying = scope[_ALLOWED]
        self._route = scope["route"]
        self._headers = headers
        self._body = body
        self._template: Template | None = None

    def give(self, scope: Scope, whole: WholeAnswers) -> bool:
        """Answer a request; return False if its handler has to."""
        values = self._repeat(scope) if whole.is_free else None
        if values is None:
            return False
        if self._template is None:
            self._template = whole.template(self.status, self._headers, self._body, {*self._varying, _REQUEST_ID})
        scope["route"] = self._route
        whole.write_again(self._template, {**values, _REQUEST_ID: scope["request_id"].encode()})
        return True


class KeptAnswers:
    """The answers that are kept, all of one version of the database.

    `version` returns a number that every commit changes; while it returns None, nothing is kept. The words of a request
    include its API key, which so stays in memory until the next commit.
    """

    def __init__(self, version: Callable[[], int | None], *, most_bytes: int = _MOST_BYTES) -> None:
        self._version = version
        self._most_bytes = most_bytes
        self._of: int | None = None
        self._known: dict[_Words, KeptAnswer] = {}
        self._free_bytes = most_bytes

    def find(self, scope: Scope) -> KeptAnswer | None:
        """Return the answer that was given to the same request before, if it is kept."""
        words = _words(scope)
        if words is None:
            return None
        version = self._version()
        if version is None or version != self._of:
            self._of, self._known, self._free_bytes = version, {}, self._most_bytes
        scope[_PLACE] = self._known, words
        return self._known.get(words)

    def keep(self, scope: Scope, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Keep the answer that a request has got, if its handler allowed it, and nobody has committed meanwhile."""
        if _ALLOWED not in scope or _PLACE not in scope or status not in _KEPT:
            return
        known, words = scope[_PLACE]
        # What was committed since `find` has put another dictionary in its place, or will before the next look.
        if self._of is None or known is not self._known:
            return
        if words not in known:
            size = _ENTRY_BYTES + len(body) + sum(map(len, words))
            if size > self._free_bytes:
                return
            self._free_bytes -= size
        known[words] = KeptAnswer(scope, status, headers, body)


def allow(scope: Scope, repeat: Repeat, varying: Collection[bytes]) -> None:
    """Allow that the answer to a request is given again until the next commit.

    It must follow from the database, the path, the query, and the headers `Host`, `Authorization`, `If-None-Match` and
    `Accept-Encoding` alone, but for the headers that are `varying`, whose values `repeat` returns.
    """
    scope[_ALLOWED] = repeat, varying


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

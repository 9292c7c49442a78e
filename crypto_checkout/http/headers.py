"""Headers as ASGI has them, and those of a request, found without the objects that Starlette makes for them."""

from collections.abc import Mapping

from starlette.types import Scope

Header = tuple[bytes, bytes]
"""A name in lower case, and its value."""

_NAME = "fields"


def fields(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers by their names in lower case; of one that came several times, the first."""
    found: Mapping[bytes, bytes] | None = scope.get(_NAME)
    if found is None:
        found = scope[_NAME] = dict(reversed(scope["headers"]))
    return found


def header(scope: Scope, name: bytes) -> str:
    """Return the value of the first header of a name in lower case, or an empty text."""
    return str(fields(scope).get(name, b""), "latin-1")

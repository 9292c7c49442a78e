"""A request's headers, found without the objects that Starlette makes for them."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str:
    """Return the value of the first header of a name in lower case, or an empty text."""
    for each, value in scope["headers"]:
        if each == name:
            return str(value, "latin-1")
    return ""

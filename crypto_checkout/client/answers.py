"""The shapes of answers that the server's own code doesn't have types for. The others are in `core.resources`."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

Json = dict[str, Any]
"""A JSON object as it came."""


class CustomerResource(TypedDict):
    """A customer; the email is unique in its mode, whatever its case."""

    id: str
    object: Literal["customer"]
    livemode: bool
    email: str
    name: str | None
    metadata: Mapping[str, str] | None
    createdAt: str
    updatedAt: str

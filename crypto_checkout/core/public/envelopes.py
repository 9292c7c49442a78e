"""The public shape of answers around resources: lists and errors. The resources are in `core.public.types`."""

from typing import Generic, Literal, NotRequired, TypeVar

from typing_extensions import TypedDict

T = TypeVar("T")


class ListResource(TypedDict, Generic[T]):
    """A part of a list, newest first."""

    object: Literal["list"]
    """What this is."""
    data: list[T]
    """What is in this part."""
    hasMore: bool
    """Whether the list goes on in the direction that was asked for."""
    nextCursor: str | None
    """Where it goes on: give it as `starting_after`, or as `ending_before` when you poll for what is new."""


class NumberedPageResource(TypedDict, Generic[T]):
    """A numbered page of a list, newest first."""

    object: Literal["list"]
    """What this is."""
    data: list[T]
    """What is on this page."""
    total: int
    """How many there are on all pages."""
    page: int
    """The page's number, from 1."""
    limit: int
    """How many a page has at most."""


class FaultResource(TypedDict):
    """What went wrong."""

    type: str
    """The kind of error; each has its statuses."""
    code: str
    """The cause; fixed, for programs."""
    message: str
    """A sentence for developers; it may change."""
    param: NotRequired[str]
    """The field (`amount.value`), parameter or header that is wrong."""
    requestId: str
    """Names this request in the server's log; also in `X-Request-Id`."""


class ErrorResource(TypedDict):
    """The answer to every request that failed."""

    error: FaultResource
    """What went wrong."""

"""The public shape of lists and errors. Resources are in `core.public.types`."""

from typing import Generic, Literal, NotRequired, TypeVar

from typing_extensions import TypedDict

T = TypeVar("T")


class ListResource(TypedDict, Generic[T]):
    """One page of a list, newest first."""

    object: Literal["list"]
    """The type of this object."""
    data: list[T]
    """The items of this page."""
    hasMore: bool
    """Whether there are more items in the requested direction."""
    nextCursor: str | None
    """The cursor for the next page: pass it as `starting_after`, or as `ending_before` to poll for new items."""


class NumberedPageResource(TypedDict, Generic[T]):
    """A numbered page of a list, newest first."""

    object: Literal["list"]
    """The type of this object."""
    data: list[T]
    """The items of this page."""
    total: int
    """The number of items on all pages."""
    page: int
    """The page number, from 1."""
    limit: int
    """The maximum number of items per page."""


class FaultResource(TypedDict):
    """The details of an error."""

    type: str
    """The category of the error; each has its own HTTP statuses."""
    code: str
    """The cause, as a stable code for programs."""
    message: str
    """An explanation for developers; the wording may change."""
    param: NotRequired[str]
    """The invalid field (such as `amount.value`), parameter or header."""
    requestId: str
    """The id of this request in the server's log; also sent as `X-Request-Id`."""


class ErrorResource(TypedDict):
    """The response to every failed request."""

    error: FaultResource
    """The details."""

"""One definition of a method for both clients: it makes an `ApiCall`, which the connection sends.

A resource's methods are written once, as functions that return the call. On a resource of the blocking client such a
method returns the result; on one of the asynchronous client, a coroutine of it. Type checkers see both, with the names
and types of all arguments.
"""

import functools
import types
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from crypto_checkout.client.calls import ApiCall

from .connections import AsyncConnection, AsyncListing, Connection, Listing
from .pages import Page

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")


class Resource(Generic[C]):
    """A kind of object of the API, behind a `Connection` or an `AsyncConnection`."""

    def __init__(self, connection: C) -> None:
        self.connection = connection


class method(Generic[P, T]):  # noqa: N801 - a decorator, like property
    """A method that sends the call made by the decorated function."""

    def __init__(self, make: Callable[Concatenate[Any, P], ApiCall[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, resource: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Connection], owner: object = None) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, resource: Resource[AsyncConnection], owner: object = None
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object = None) -> Any:
        return self if resource is None else _bound(self._make, resource, resource.connection.send)


class list_method(Generic[P, T]):  # noqa: N801 - a decorator, like property
    """A method that returns the list whose first page the decorated function requests."""

    def __init__(self, make: Callable[Concatenate[Any, P], ApiCall[Page[T]]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, resource: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Connection], owner: object = None) -> Callable[P, Listing[T]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncConnection], owner: object = None) -> Callable[P, AsyncListing[T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object = None) -> Any:
        return self if resource is None else _bound(self._make, resource, resource.connection.listing)


def _bound(make: Callable[..., ApiCall[Any]], resource: Resource[Any], do: Callable[[ApiCall[Any]], Any]) -> Any:
    making = types.MethodType(make, resource)

    @functools.wraps(making)
    def run(*args: Any, **kwargs: Any) -> Any:
        return do(making(*args, **kwargs))

    return run

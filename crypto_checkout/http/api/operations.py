"""The table of operations. Routes, checks and answers are made from it; nothing about an endpoint is written twice."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from crypto_checkout.core import errors
from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.core.owner.api_key import ApiKey, Scope
from crypto_checkout.services.checkout.customers import Customers
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.checkout.sessions import Sessions
from crypto_checkout.services.sandbox.controls import SandboxControls
from crypto_checkout.services.webhooks.deliveries import Deliveries
from crypto_checkout.services.webhooks.endpoints import Endpoints
from crypto_checkout.store.database import Database, WriteUnit

from . import schemas

PREFIX = "/api/v1"

_OF_ALL = (
    errors.MissingApiKey,
    errors.InvalidApiKey,
    errors.RevokedApiKey,
    errors.InsufficientScope,
    errors.RateLimitExceeded,
    errors.InvalidQuery,
    CheckoutError,
)
_OF_WRITES = (
    errors.InvalidJson,
    errors.InvalidBody,
    errors.BodyTooLarge,
    errors.UnsupportedContentType,
    errors.IdempotencyKeyReused,
)
_OF_LISTS = (errors.InvalidCursor,)
_OF_PATHS = (errors.ResourceNotFound,)

Resource = Mapping[str, Any]
Unit = Callable[[WriteUnit], Resource]


@dataclass(frozen=True, slots=True)
class ApiServices:
    """What operations work with; `sandbox` is None where test mode is switched off."""

    db: Database
    sessions: Sessions
    session_reader: SessionReader
    decisions: Decisions
    links: Links
    endpoints: Endpoints
    deliveries: Deliveries
    customers: Customers
    sandbox: SandboxControls | None


@dataclass(frozen=True, slots=True)
class Call:
    """One checked request: whose it is and what it says.

    `request` names it for as long as it can be repeated; None where it came without an idempotency key.
    """

    services: ApiServices
    key: ApiKey
    path: Mapping[str, str]
    query: Any
    body: Any
    request: str | None = None

    @property
    def livemode(self) -> bool:
        """The mode of the key."""
        return self.key.livemode


Example = Callable[[str], Resource]
"""Makes an example from the public address of the server that shows it."""

Read = Callable[[Call], Awaitable[Resource | str]]
Write = Callable[[Call], Awaitable[Unit]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint of the API.

    `read` answers with a resource, or with its JSON where that is stored as such. `write` gathers what it needs and
    returns the unit that does the work, which is written together with the idempotency record. Exactly one is given.

    `answer` is the shape of its answer, from `core.public.types` or `core.public.envelopes`; `example` makes one, and
    `sent` is a body that it takes. `raises` are the causes of failure that do not follow from the rest: see `errors`.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    scope: Scope
    summary: str
    answer: Any
    example: Example
    read: Read | None = None
    write: Write | None = None
    query: type[BaseModel] = schemas.NoQuery
    body: type[BaseModel] = schemas.Nothing
    sent: Mapping[str, Any] | None = field(default=None, hash=False)
    status: int = 200
    raises: tuple[type[CheckoutError], ...] = ()
    description: str = ""
    test_mode_only: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it answers with a part of a list, found by a cursor."""
        return issubclass(self.query, schemas.ListQuery)

    @property
    def has_tag(self) -> bool:
        """Whether its answer carries an ETag: where one resource is read."""
        return self.read is not None and self.path.endswith("}")

    def errors(self) -> tuple[type[CheckoutError], ...]:
        """Return every cause of failure: those of all, those of its kind, and its own."""
        of_writes = _OF_WRITES if self.write is not None else ()
        of_lists = _OF_LISTS if self.is_list else ()
        of_paths = _OF_PATHS if "{" in self.path else ()
        return (*_OF_ALL, *of_writes, *of_lists, *of_paths, *self.raises)


def listed(example: Example) -> Example:
    """Return the example of a list with one entry."""
    return lambda public_url: {"object": "list", "data": [example(public_url)], "hasMore": False, "nextCursor": None}

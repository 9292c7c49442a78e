"""The types of the table of operations, from which routes, checks, answers and documentation are derived."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from crypto_checkout.core import errors
from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.core.owner.api_key import ApiKey, Scope
from crypto_checkout.services.checkout.answers import PayerAnswers
from crypto_checkout.services.checkout.customers import Customers
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.checkout.sessions import Sessions
from crypto_checkout.services.collect.balances import BalanceReports
from crypto_checkout.services.collect.records import Collections
from crypto_checkout.services.refunds.claims import Claims
from crypto_checkout.services.refunds.refunds import Refunds
from crypto_checkout.services.sandbox.relay import AnyControls
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
    errors.DatabaseUnavailable,
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

STORED = (errors.ResourceNotFound, errors.SessionNotOpen, errors.RefundNotOpen, errors.CustomerExists)
"""The refusals of an operation that ran without an effect: they are stored as its answer to an idempotency key."""

Resource = Mapping[str, Any]
Unit = Callable[[WriteUnit], Resource | bytes]


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The services behind the operations; `sandbox` is None when test mode is switched off."""

    db: Database
    sessions: Sessions
    session_reader: SessionReader
    decisions: Decisions
    answers: PayerAnswers
    links: Links
    endpoints: Endpoints
    deliveries: Deliveries
    customers: Customers
    refunds: Refunds
    claims: Claims
    balances: BalanceReports
    collections: Collections
    sandbox: AnyControls | None


class Call(NamedTuple):
    """One checked request, with its key.

    `request` identifies it as long as it can be repeated; None without an idempotency key.
    """

    services: ApiServices
    key: ApiKey
    path: Mapping[str, str]
    query: Any
    body: Any
    request: str | None = None

    @property
    def livemode(self) -> bool:
        """The key's mode."""
        return self.key.livemode


Example = Callable[[str], Resource]
"""Builds an example for the public URL of the server that shows it."""

Read = Callable[[Call], Awaitable[Resource | bytes]]
Write = Callable[[Call], Awaitable[Unit]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint of the API.

    `id` names it in the OpenAPI document, and so in generated clients. Exactly one of `read` and `write` is given.
    `read` returns a resource, or its JSON where that is kept. `write` returns the unit of work, which does too, and
    is committed together with the idempotency record. What `follows_from_database` alone, and from the request, is
    given again until somebody commits.

    `answer` is the type of the answer, from `core.public.types` or `core.public.envelopes`; `example` builds one, and
    `sent` is an example of the body. `raises` has the errors that don't follow from the other fields: see `errors`.
    """

    id: str
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
    follows_from_database: bool = False

    @property
    def is_list(self) -> bool:
        """True if the answer is a page of a list with cursors."""
        return issubclass(self.query, schemas.ListQuery)

    @property
    def has_tag(self) -> bool:
        """True if the answer has an ETag: the reads of one resource do."""
        return self.read is not None and self.path.endswith("}")

    def errors(self) -> tuple[type[CheckoutError], ...]:
        """Return every error: those of all operations, those of its kind, and its own."""
        of_writes = _OF_WRITES if self.write is not None else ()
        of_lists = _OF_LISTS if self.is_list else ()
        of_paths = _OF_PATHS if "{" in self.path else ()
        return (*_OF_ALL, *of_writes, *of_lists, *of_paths, *self.raises)


def list_example(example: Example) -> Example:
    """Return the example of a list with one entry."""
    return lambda public_url: {"object": "list", "data": [example(public_url)], "hasMore": False, "nextCursor": None}

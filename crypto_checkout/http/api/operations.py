"""The table of operations. Routes, checks and answers are made from it; nothing about an endpoint is written twice."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from crypto_checkout.core.key import ApiKey, Scope
from crypto_checkout.services.customers import Customers
from crypto_checkout.services.deliveries import Deliveries
from crypto_checkout.services.endpoints import Endpoints
from crypto_checkout.services.links import Links
from crypto_checkout.services.sandbox import Sandbox
from crypto_checkout.services.sessions import Sessions
from crypto_checkout.services.settling import Settling
from crypto_checkout.store.database import Database, WriteUnit

from . import schemas

Resource = Mapping[str, Any]
Unit = Callable[[WriteUnit], Resource]


@dataclass(frozen=True, slots=True)
class Services:
    """What operations work with; `sandbox` is None where test mode is switched off."""

    db: Database
    sessions: Sessions
    settling: Settling
    links: Links
    endpoints: Endpoints
    deliveries: Deliveries
    customers: Customers
    sandbox: Sandbox | None


@dataclass(frozen=True, slots=True)
class Call:
    """One checked request: whose it is and what it says."""

    services: Services
    key: ApiKey
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def livemode(self) -> bool:
        """The mode of the key."""
        return self.key.livemode


Read = Callable[[Call], Awaitable[Resource | str]]
Write = Callable[[Call], Awaitable[Unit]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint of the API.

    `read` answers with a resource, or with its JSON where that is stored as such. `write` gathers what it needs and
    returns the unit that does the work, which is written together with the idempotency record. Exactly one is given.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    scope: Scope
    summary: str
    read: Read | None = None
    write: Write | None = None
    query: type[BaseModel] = schemas.NoQuery
    body: type[BaseModel] = schemas.Nothing
    status: int = 200
    test_mode_only: bool = field(default=False)


def table() -> list[Operation]:
    """Return every operation of the API."""
    from . import customers, endpoints, events, links, sessions, test_helpers

    return [
        *sessions.OPERATIONS,
        *links.OPERATIONS,
        *endpoints.OPERATIONS,
        *events.OPERATIONS,
        *customers.OPERATIONS,
        *test_helpers.OPERATIONS,
    ]

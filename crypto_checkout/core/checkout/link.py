"""A payment link: a page that makes a new session at each visit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.money import Fiat


@dataclass(frozen=True, slots=True)
class Link:
    """A payment link as it is stored; `chain_id` and `asset` are None where the mode's default is meant.

    Where `assets` isn't empty, payers choose among those, and `chain_id` and `asset` are None.
    """

    id: str
    livemode: bool
    slug: str
    title: str
    description: str | None
    fiat: Fiat
    chain_id: int | None
    asset: str | None
    success_url: str | None
    cancel_url: str | None
    active: bool
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    assets: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkUsage:
    """How many of a link's newest sessions there are and how many of those are settled; `has_more` tells of others."""

    sessions: int
    settled: int
    has_more: bool

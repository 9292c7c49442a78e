"""Payment links: pages that make a new session at each visit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.questions import CustomField, PayerFields
from crypto_checkout.core.money import Fiat


@dataclass(frozen=True, slots=True)
class Link:
    """A payment link as stored; None as `chain_id` and `asset` stands for the mode's default.

    With several `assets` the payer chooses among them, and `chain_id` and `asset` are None. `payer_fields` and
    `custom_fields` are asked of each payer.
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
    payer_fields: PayerFields | None = None
    custom_fields: tuple[CustomField, ...] | None = None


@dataclass(frozen=True, slots=True)
class LinkUsage:
    """Counts of a link's newest sessions and of those that are settled; `has_more` if older ones are left out."""

    sessions: int
    settled: int
    has_more: bool

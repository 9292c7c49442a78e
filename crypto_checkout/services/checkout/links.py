"""Make, show, change and delete payment links."""

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from crypto_checkout.core import ids
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.link import Link, LinkPrice, LinkQuantity, LinkSales, LinkUsage, check_terms
from crypto_checkout.core.checkout.questions import CustomField, PayerFields, objection
from crypto_checkout.core.errors import InvalidBody, ResourceNotFound
from crypto_checkout.core.public import render
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.core.public.types import DeletedResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout.payment_methods import AcceptedChains, ChainsByMode
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store import paging
from crypto_checkout.store.checkout import links as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit

_SLUG_BYTES = 10


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """The merchant's data of a new link."""

    title: str
    price: LinkPrice
    description: str | None = None
    chain_id: int | None = None
    asset: str | None = None
    success_url: str | None = None
    cancel_url: str | None = None
    metadata: Mapping[str, str] | None = None
    active: bool = True
    assets: tuple[Choice, ...] = ()
    payer_fields: PayerFields | None = None
    custom_fields: tuple[CustomField, ...] | None = None
    quantity: LinkQuantity | None = None


class Links:
    """The payment links of both modes."""

    def __init__(
        self, db: Database, accepted: ChainsByMode[AcceptedChains], events: Outbox, *, public_url: str
    ) -> None:
        self._db = db
        self._accepted = accepted
        self._events = events
        self._public_url = public_url

    def create(self, livemode: bool, new: LinkRequest) -> Callable[[WriteUnit], LinkResource]:
        """Return the unit that stores a new link.

        Raises UnsupportedChain, UnsupportedAsset or WalletNotConfigured for a link that could never be paid, and
        InvalidBody for one with both a choice of assets and an asset of its own, with custom fields that its metadata
        has no room for, or with terms that contradict each other.
        """
        self._check(livemode, new)

        def make(unit: WriteUnit) -> LinkResource:
            link = Link(
                id=unit.new_id(ids.LINK),
                livemode=livemode,
                slug=_new_slug(),
                title=new.title,
                description=new.description,
                price=new.price,
                chain_id=new.chain_id,
                asset=new.asset,
                success_url=new.success_url,
                cancel_url=new.cancel_url,
                active=new.active,
                created_at=unit.now,
                updated_at=unit.now,
                metadata=new.metadata,
                assets=new.assets,
                payer_fields=new.payer_fields,
                custom_fields=new.custom_fields,
                quantity=new.quantity,
            )
            store.insert(unit, link)
            return self._recorded(unit, EventType.LINK_CREATED, link)

        return make

    async def get(self, livemode: bool, link_id: str) -> LinkResource:
        """Return a link. Raises ResourceNotFound."""
        return await self._db.read(lambda unit: self._described(unit, _found(unit, link_id, livemode)))

    async def listed(self, livemode: bool, active: bool | None, window: paging.Window) -> paging.ListPage[LinkResource]:
        """Return a page of links."""
        return await self._db.read(lambda unit: page(unit, livemode, active, window, self._public_url))

    async def usage(self, livemode: bool, link_ids: Iterable[str]) -> dict[str, LinkUsage]:
        """Count the newest sessions of some links of a mode, and the settled ones among them, by the links' ids."""
        return await self._db.read(lambda unit: {each: store.usage(unit, each, livemode) for each in link_ids})

    def update(
        self, livemode: bool, link_id: str, change: Callable[[Link], Link]
    ) -> Callable[[WriteUnit], LinkResource]:
        """Return the unit that changes a link; existing sessions keep their price.

        The unit raises ResourceNotFound, and as `create` does for a link that could no longer be paid.
        """

        def work(unit: WriteUnit) -> LinkResource:
            before = _found(unit, link_id, livemode)
            link = replace(change(before), updated_at=unit.now)
            # A link that can no longer be paid can still be switched off.
            if link != replace(before, active=False, updated_at=unit.now):
                self._check(livemode, link)
            store.update(unit, link)
            return self._recorded(unit, EventType.LINK_UPDATED, link)

        return work

    def delete(self, livemode: bool, link_id: str) -> Callable[[WriteUnit], DeletedResource]:
        """Return the unit that removes a link; its sessions stay. The unit raises ResourceNotFound."""

        def remove(unit: WriteUnit) -> DeletedResource:
            link = _found(unit, link_id, livemode)
            store.delete(unit, link.id)
            self._recorded(unit, EventType.LINK_DELETED, link)
            return render.deleted(link.id, "payment_link")

        return remove

    async def find(self, link_id: str, *, livemode: bool) -> Link | None:
        """Return a link of this mode, or None."""
        return await self._db.read(lambda unit: store.get(unit, link_id, livemode))

    async def sales(self, link: Link) -> LinkSales:
        """Count the sold and reserved pieces of a link."""
        return await self._db.read(lambda unit: store.sales_of(unit, link), quick=True)

    async def by_slug(self, slug: str) -> Link | None:
        """Return the link behind a public URL, of either mode."""
        return await self._db.read(lambda unit: store.by_slug(unit, slug))

    def _check(self, livemode: bool, link: Link | LinkRequest) -> None:
        accepted = self._accepted.of(livemode)
        check_terms(link.price, link.quantity)
        if link.assets and (link.chain_id is not None or link.asset is not None):
            raise InvalidBody(
                "assets: a link has either assets or chainId and asset; set the others to null.", param="assets"
            )
        problem = objection(link.custom_fields or (), link.metadata)
        if problem is not None:
            raise InvalidBody(f"customFields: {problem}.", param="customFields")
        accepted.check(link.assets)
        accepted.chain(link.chain_id).asset(link.asset)

    def _described(self, unit: ReadUnit, link: Link) -> LinkResource:
        return render.link(link, store.sales_of(unit, link), self._public_url)

    def _recorded(self, unit: WriteUnit, event_type: EventType, link: Link) -> LinkResource:
        resource = self._described(unit, link)
        self._events.record(unit, event_type, resource)
        return resource


def page(
    unit: ReadUnit, livemode: bool, active: bool | None, window: paging.Window, public_url: str
) -> paging.ListPage[LinkResource]:
    """Return a page of a mode's links, as the API shows them."""
    found = store.listed(unit, livemode, active, window)
    sales = store.sales(unit, [link.id for link in found.items if link.quantity is not None])
    return found.map(lambda link: render.link(link, sales.get(link.id, LinkSales()), public_url))


def _found(unit: ReadUnit, link_id: str, livemode: bool) -> Link:
    link = store.get(unit, link_id, livemode)
    if link is None:
        raise ResourceNotFound(f"There is no payment link {link_id[:40]} in this mode.")
    return link


def _new_slug() -> str:
    return base64.b32encode(secrets.token_bytes(_SLUG_BYTES)).decode().lower()

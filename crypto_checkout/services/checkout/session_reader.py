"""Read checkout sessions: one, a page, a search, a count. Needs neither a wallet nor prices.

Making sessions is `services.checkout.sessions`' work.
"""

from collections.abc import Collection
from dataclasses import dataclass

from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.payment import Payment, ShownPayments
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import PaymentResource, SessionResource
from crypto_checkout.services.checkout.rendered import RenderedSession, SessionRenderer
from crypto_checkout.store import paging
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.checkout import totals
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import cursors, payments, unmatched
from crypto_checkout.store.ledger.unmatched import UnmatchedPayment
from crypto_checkout.store.reporting import search

_MOST_UNMATCHED = 20


@dataclass(frozen=True, slots=True)
class Receipts:
    """A session with all that came to its address.

    `taken_back` are its payments where the chain took back every one of them, `unmatched` the newest of what came
    besides: in another coin, or on another chain.
    """

    rendered: RenderedSession
    taken_back: tuple[Payment, ...] = ()
    unmatched: tuple[UnmatchedPayment, ...] = ()


class SessionReader:
    """Reads the sessions of both modes, and renders them as the API shows them."""

    def __init__(self, db: Database, *, public_url: str) -> None:
        self._db = db
        self._renderer = SessionRenderer(public_url)

    async def get(self, session_id: str, livemode: bool) -> SessionResource:
        """Return a session of one mode. Raises ResourceNotFound."""
        return (await self.rendered(session_id, livemode)).resource

    async def rendered(self, session_id: str, livemode: bool) -> RenderedSession:
        """Return a session of one mode, with its JSON. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> RenderedSession:
            found = _found(unit, session_id, livemode)
            return self._rendered(unit, found.session, has_payments=found.has_payments)

        return await self._db.read(read, quick=True)

    async def for_payer(self, session_id: str) -> Receipts:
        """Return a session of either mode with all that came to its address. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> Receipts:
            found = _found(unit, session_id)
            unmatched_payments = unmatched.newest(unit, session_id, _MOST_UNMATCHED) if found.has_unmatched else ()
            rendered = self._rendered(unit, found.session, has_payments=found.has_payments)
            is_taken_back = found.has_payments and not rendered.resource["payments"]
            taken_back = payments.orphaned(unit, found.session) if is_taken_back else ()
            return Receipts(rendered, tuple(taken_back), tuple(unmatched_payments))

        return await self._db.read(read, quick=True)

    async def payments(
        self, session_id: str, livemode: bool, window: paging.Window
    ) -> paging.ListPage[PaymentResource]:
        """Return a page of a session's payments, last recorded first. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> paging.ListPage[PaymentResource]:
            session = find(unit, session_id, livemode)
            return _payments(unit, session, cursors.tip(unit, session.asset.chain_id), window)

        return await self._db.read(read, quick=True)

    async def with_payments(
        self, session_id: str, livemode: bool, window: paging.Window
    ) -> tuple[SessionResource, paging.ListPage[PaymentResource]]:
        """Return a session, and a page of its payments as `payments` does. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> tuple[SessionResource, paging.ListPage[PaymentResource]]:
            session = find(unit, session_id, livemode)
            tip = cursors.tip(unit, session.asset.chain_id)
            return self._as_of(unit, session, tip).resource, _payments(unit, session, tip, window)

        return await self._db.read(read, quick=True)

    async def listed(
        self, livemode: bool, filters: store.SessionFilter, window: paging.Window, *, text: str = ""
    ) -> paging.ListPage[SessionResource]:
        """Return a page of sessions; `text` narrows it to the sessions that it refers to (`store.reporting.search`)."""
        page = await self.page(livemode, filters, window, text=text)
        return page.map(lambda each: each.resource)

    async def page(
        self, livemode: bool, filters: store.SessionFilter, window: paging.Window, *, text: str = ""
    ) -> paging.ListPage[RenderedSession]:
        """Return a page of sessions as `listed` does, with their JSON."""

        def read(unit: ReadUnit) -> paging.ListPage[RenderedSession]:
            page = search.find(unit, livemode, text, filters, window)
            tips = {chain_id: cursors.tip(unit, chain_id) for chain_id in {each.asset.chain_id for each in page.items}}
            # Most sessions of most pages have none: one look for all of them.
            paid = payments.with_any(unit, [each.id for each in page.items])
            return page.map(
                lambda each: (
                    self._as_of(unit, each, tips[each.asset.chain_id]) if each.id in paid else self.render_unpaid(each)
                )
            )

        return await self._db.read(read, quick=True)

    async def count(self, livemode: bool, filters: store.SessionFilter, *, text: str = "") -> search.Count:
        """Count sessions: exactly for all of a mode, otherwise up to the limit at which counting gets slow."""

        def read(unit: ReadUnit) -> search.Count:
            if not text.strip() and filters == store.SessionFilter():
                return search.Count(totals.count_sessions(unit, livemode), is_exact=True)
            return search.count(unit, livemode, text, filters)

        return await self._db.read(read)

    async def unpaid(self, session_ids: Collection[str]) -> list[str]:
        """Return those of some sessions that are pending, in their order."""

        def read(unit: ReadUnit) -> list[str]:
            found = store.by_ids(unit, session_ids)
            return [each for each in session_ids if each in found and found[each].status is Status.PENDING]

        return await self._db.read(read, quick=True)

    def describe(self, unit: ReadUnit, session: Session) -> SessionResource:
        """Render a session with its payments, as of now."""
        return self._rendered(unit, session, has_payments=payments.has_any(unit, session.id)).resource

    def render_unpaid(self, session: Session) -> RenderedSession:
        """Render a session without payments, as one that is being made: it looks the same whatever the tip."""
        return self._renderer.render(session, ShownPayments(), None)

    def _rendered(self, unit: ReadUnit, session: Session, *, has_payments: bool) -> RenderedSession:
        if not has_payments:
            return self.render_unpaid(session)
        return self._as_of(unit, session, cursors.tip(unit, session.asset.chain_id))

    def _as_of(self, unit: ReadUnit, session: Session, tip: Tip | None) -> RenderedSession:
        return self._renderer.render(session, payments.shown(unit, session, tip), tip)


def _payments(
    unit: ReadUnit, session: Session, tip: Tip | None, window: paging.Window
) -> paging.ListPage[PaymentResource]:
    return payments.listed(unit, session, window).map(lambda each: render.payment(session, each, tip))


def find(unit: ReadUnit, session_id: str, livemode: bool | None = None) -> Session:
    """Return a session of one mode; of either mode for None. Raises ResourceNotFound."""
    return _found(unit, session_id, livemode).session


def _found(unit: ReadUnit, session_id: str, livemode: bool | None = None) -> store.FoundSession:
    found = store.find(unit, session_id, livemode)
    if found is None:
        of_mode = "" if livemode is None else " in this mode"
        raise ResourceNotFound(f"There is no checkout session {session_id[:40]}{of_mode}.")
    return found

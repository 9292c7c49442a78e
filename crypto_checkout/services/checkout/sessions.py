"""Make checkout sessions and show them.

Making one is two steps: a quote (`services.checkout.quotes`), outside any transaction, and the unit that takes the next
address and stores the session with its event. Who moves a session afterwards: `services.ledger.judge`.

Where payers have a choice, the session has the terms of the first asset that had a price, until somebody chooses
(`services.checkout.asset_choice`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from crypto_checkout.core import ids
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.checkout.session import STATUSES, Session, SessionOptions, SessionStage, Status
from crypto_checkout.core.errors import LinkInactive, ResourceNotFound, UnsupportedAsset, WalletNotConfigured
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout.payment_methods import PaymentMethods, PaymentMethodsByMode, Wallet
from crypto_checkout.services.checkout.quotes import Priced, Quote, Quotes
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store import paging
from crypto_checkout.store.checkout import links, totals, wallets
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments
from crypto_checkout.store.reporting import search

_ONGOING = frozenset({SessionStage.OPEN, SessionStage.CONFIRMING})


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What is asked for: exactly one of `link_id` and `fiat`. What is None comes from the link, or is the default.

    With `assets` the payer chooses, and `chain_id` and `asset` are None. Those on chains that take no payments yet are
    left out, as long as there are others.
    """

    link_id: str | None = None
    fiat: Fiat | None = None
    chain_id: int | None = None
    asset: str | None = None
    options: SessionOptions = field(default_factory=SessionOptions)
    expires_in_seconds: int | None = None
    assets: tuple[Choice, ...] = ()


class Sessions:
    """The sessions of both modes."""

    def __init__(self, db: Database, payment_methods: PaymentMethodsByMode, events: Outbox, *, public_url: str) -> None:
        self._db = db
        self._payment_methods = payment_methods
        self._quotes = Quotes(payment_methods)
        self._events = events
        self._public_url = public_url

    async def prepare(self, livemode: bool, wanted: SessionRequest) -> Callable[[WriteUnit], SessionResource]:
        """Quote a price, and return the unit that stores a session at it.

        Raises:
            ResourceNotFound, LinkInactive: The link is gone, or takes no sessions.
            UnsupportedChain, UnsupportedAsset, AmountTooSmall: It can't be paid like this.
            PriceUnavailable: Too few sources gave a usable price.
            WalletNotConfigured: This mode has no wallet, or its next address is not known yet.

        """
        methods = self._payment_methods.of(livemode)
        methods.check(wanted.assets)
        if wanted.link_id is not None:
            wanted = await self._db.read(lambda unit: _from_link(unit, wanted, methods))
        assert wanted.fiat is not None, "a session has a price of its own or its link's"
        priced = Priced(livemode, wanted.fiat, is_from_link=wanted.link_id is not None)
        if wanted.assets:
            usable = await self._db.read(lambda unit: _usable(unit, wanted.assets, methods))
            wanted = replace(wanted, assets=usable or wanted.assets)
            quote = await self._quotes.first(priced, wanted.assets)
        else:
            quote = await self._quotes.quote(priced, wanted.chain_id, wanted.asset)
        return lambda unit: self._make(unit, wanted, quote)

    async def create(self, livemode: bool, wanted: SessionRequest) -> SessionResource:
        """Make a session; see `prepare`."""
        return await self._db.write(await self.prepare(livemode, wanted))

    async def get(self, session_id: str, livemode: bool | None) -> SessionResource:
        """Return a session, of one mode or of either. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> SessionResource:
            session = store.get(unit, session_id, livemode)
            if session is None:
                raise ResourceNotFound(f"There is no checkout session {session_id[:40]} in this mode.")
            return self.describe(unit, session)

        return await self._db.read(read)

    async def look(self, session_id: str) -> tuple[SessionResource, bool]:
        """Return a session of either mode as `get` does, and whether the chain took back all that was paid for it."""

        def read(unit: ReadUnit) -> tuple[SessionResource, bool]:
            session = store.get(unit, session_id, None)
            if session is None:
                raise ResourceNotFound(f"There is no checkout session {session_id[:40]}.")
            of_session = payments.of_session(unit, session)
            tip = cursors.tip(unit, session.asset.chain_id)
            taken_back = bool(of_session) and not any(payment.canonical for payment in of_session)
            return render.session(session, of_session, tip, self._public_url), taken_back

        return await self._db.read(read)

    async def ongoing(self, session_id: str, link: Link) -> SessionResource | None:
        """Return a link's session while it can be paid as the link says; None for any other, and for none."""

        def read(unit: ReadUnit) -> SessionResource | None:
            session = store.get(unit, session_id, link.livemode)
            if session is None or session.link_id != link.id or session.created_at < link.updated_at:
                return None
            is_over = self._payment_methods.chain_time(link.livemode, unit.now) >= session.terms.expires_at
            return None if is_over or STATUSES[session.status].stage not in _ONGOING else self.describe(unit, session)

        return await self._db.read(read)

    async def listed(
        self, livemode: bool, wanted: store.SessionFilter, window: paging.Window, *, text: str = ""
    ) -> paging.ListPage[SessionResource]:
        """Return a page of sessions; with a text, of those that it means (`store.reporting.search`)."""

        def read(unit: ReadUnit) -> paging.ListPage[SessionResource]:
            page = search.found(unit, livemode, text, wanted, window)
            paid = payments.of_sessions(unit, page.items)
            tips = {chain_id: cursors.tip(unit, chain_id) for chain_id in {each.asset.chain_id for each in page.items}}
            return page.map(
                lambda each: render.session(each, paid[each.id], tips[each.asset.chain_id], self._public_url)
            )

        return await self._db.read(read)

    async def count(self, livemode: bool, wanted: store.SessionFilter, *, text: str = "") -> search.Count:
        """Return how many sessions there are: all of a mode exactly, others as far as counting them is quick."""

        def read(unit: ReadUnit) -> search.Count:
            if not text.strip() and wanted == store.SessionFilter():
                return search.Count(totals.sessions_made(unit, livemode), is_exact=True)
            return search.count(unit, livemode, text, wanted)

        return await self._db.read(read)

    def describe(self, unit: ReadUnit, session: Session) -> SessionResource:
        """Return a session with its payments as of now."""
        of_session = payments.of_session(unit, session)
        return render.session(session, of_session, cursors.tip(unit, session.asset.chain_id), self._public_url)

    def _make(self, unit: WriteUnit, wanted: SessionRequest, quote: Quote) -> SessionResource:
        if wanted.link_id is not None:
            _open_link(unit, wanted.link_id, quote.methods.livemode)  # it may have been switched off since the quote
        tip = cursors.tip(unit, quote.chain.id)
        if tip is None:
            # Before the first processed block there is nothing that would see a payment.
            raise WalletNotConfigured(
                f"{quote.chain.name} takes no payments yet: its node hasn't answered since the first start. "
                "Try again in a moment."
            )
        index, address = _take_address(unit, quote.methods.wallet)
        session = Session(
            id=unit.new_id(ids.SESSION),
            livemode=quote.methods.livemode,
            link_id=wanted.link_id,
            status=Status.PENDING,
            status_reason=None,
            wallet_id=quote.methods.wallet.wallet_id,
            derivation_index=index,
            address=address,
            asset=quote.asset,
            fiat=quote.fiat,
            rate=quote.rate,
            eth_price_usd=quote.eth_price_usd,
            terms=quote.terms(_expires_at(unit.now, wanted, quote, tip)),
            options=wanted.options,
            created_at=unit.now,
            updated_at=unit.now,
            assets=wanted.assets if len(wanted.assets) > 1 else (),
            is_chosen=len(wanted.assets) <= 1,
        )
        store.insert(unit, session)
        resource = self.describe(unit, session)
        self._events.record(unit, EventType.SESSION_CREATED, resource)
        return resource


def _expires_at(now: datetime, wanted: SessionRequest, quote: Quote, tip: Tip) -> datetime:
    """Return until when a session can be paid: by the chain's time where ours is behind what it will be judged by."""
    ttl_seconds = wanted.expires_in_seconds or quote.methods.policy.ttl_seconds
    return max(quote.methods.chain_time(now), tip.time) + timedelta(seconds=ttl_seconds)


def _usable(unit: ReadUnit, choices: Sequence[Choice], methods: PaymentMethods) -> tuple[Choice, ...]:
    """Keep what is on chains that take payments: the address has to be safe to give out on each of them."""
    return tuple(
        each
        for each in choices
        if each.chain_id not in methods.unready and cursors.tip(unit, each.chain_id) is not None
    )


def _from_link(unit: ReadUnit, wanted: SessionRequest, methods: PaymentMethods) -> SessionRequest:
    """Fill in what a link says.

    Its coin stays the wanted one on another chain too: a chain that doesn't have it is refused, rather than paid in
    whatever coin is its first.
    """
    assert wanted.link_id is not None, "only asked for a link"
    link = _open_link(unit, wanted.link_id, methods.livemode)
    assets, options = wanted.assets or _fitting(link, wanted, methods), wanted.options
    return replace(
        wanted,
        fiat=link.fiat,
        chain_id=None if assets else wanted.chain_id or link.chain_id,
        asset=None if assets else wanted.asset or link.asset,
        options=replace(
            options,
            metadata=link.metadata if options.metadata is None else options.metadata,
            success_url=options.success_url or link.success_url,
            cancel_url=options.cancel_url or link.cancel_url,
        ),
        assets=assets,
    )


def _fitting(link: Link, wanted: SessionRequest, methods: PaymentMethods) -> tuple[Choice, ...]:
    """Return what of a link's choice can be paid today; with a chain or an asset wanted, the first that fits.

    What the configuration lost since the link was made is left out, as long as anything is left.
    """
    is_narrowed = wanted.chain_id is not None or wanted.asset is not None
    if not link.assets:
        return ()
    fitting = [
        each for each in link.assets if wanted.chain_id in {None, each.chain_id} and wanted.asset in {None, each.symbol}
    ]
    if not fitting:
        known = ", ".join(f"{each.symbol} on chain {each.chain_id}" for each in link.assets)
        param = "chainId" if wanted.asset is None else "asset"
        raise UnsupportedAsset(f"Payment link {link.id} takes {known}.", param=param)
    configured = methods.configured(fitting)
    if not configured:
        methods.asset(fitting[0])  # says which chain or asset it is that isn't configured any more
    return configured[:1] if is_narrowed else configured


def _open_link(unit: ReadUnit, link_id: str, livemode: bool) -> Link:
    link = links.get(unit, link_id, livemode)
    if link is None:
        raise ResourceNotFound(f"There is no payment link {link_id[:40]} in this mode.", param="linkId")
    if not link.active:
        raise LinkInactive(f"Payment link {link_id} is switched off (active: false).", param="linkId")
    return link


def _take_address(unit: WriteUnit, wallet: Wallet) -> tuple[int, Address]:
    while True:
        index = wallets.take_index(unit, wallet.wallet_id)
        try:
            return index, wallet.address(index)
        except ValueError:
            # This index has no key (BIP-32: less likely than 1 in 2^127); the next one has.
            continue

"""Make checkout sessions.

A session takes two steps: a quote (`services.checkout.quotes`), outside any transaction, then the unit that takes the
next address and stores the session with its event. From then on `services.ledger.judge` moves it along.

A session with a choice of assets has the terms of the first asset that could be priced, until its payer chooses
(`services.checkout.asset_choice`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from crypto_checkout.core import ids
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.expiry import counts_from
from crypto_checkout.core.checkout.link import Link, terms_of
from crypto_checkout.core.checkout.questions import objection, open_fields
from crypto_checkout.core.checkout.session import STATUSES, Session, SessionOptions, SessionStage, Status
from crypto_checkout.core.checkout.unassigned_address import derivation_path
from crypto_checkout.core.errors import (
    ChainNotReady,
    InvalidBody,
    LinkInactive,
    LinkSoldOut,
    ResourceNotFound,
    UnsupportedAsset,
)
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout.payment_methods import PaymentMethods, PaymentMethodsByMode, Wallet
from crypto_checkout.services.checkout.quotes import Quote, QuoteRequest, Quotes
from crypto_checkout.services.checkout.rendered import RenderedSession
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import links, order_forms, wallets
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.webhooks import events

_ONGOING = frozenset({SessionStage.OPEN, SessionStage.CONFIRMING})


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A request for a session; None means the link's value or the default.

    It has exactly one of `link_id` and `fiat`; both for a link whose payers name the amount. `quantity` is for a link
    that sells several pieces.

    With `assets` the payer chooses, and `chain_id` and `asset` are None. Assets on chains that take no payments yet are
    left out, as long as others remain.
    """

    link_id: str | None = None
    fiat: Fiat | None = None
    chain_id: int | None = None
    asset: str | None = None
    options: SessionOptions = field(default_factory=SessionOptions)
    expires_in_seconds: int | None = None
    assets: tuple[Choice, ...] = ()
    quantity: int | None = None


class Sessions:
    """Makes sessions in both modes; `on_made` is called with the mode of each, once it is stored.

    `on_choices` is called before a session with several choices is made, with its mode, the choices, and the currency.
    """

    def __init__(
        self,
        db: Database,
        payment_methods: PaymentMethodsByMode,
        events: Outbox,
        reader: SessionReader,
        on_made: Callable[[bool], None] = lambda _: None,
        on_choices: Callable[[bool, Sequence[Choice], str], None] = lambda *_: None,
    ) -> None:
        self._db = db
        self._payment_methods = payment_methods
        self._quotes = Quotes(payment_methods)
        self._events = events
        self._reader = reader
        self._on_made = on_made
        self._on_choices = on_choices

    async def prepare(self, livemode: bool, request: SessionRequest) -> Callable[[WriteUnit], RenderedSession]:
        """Quote a price, and return the unit that stores a session at it.

        Raises:
            ResourceNotFound, LinkInactive: The link is gone, or takes no sessions.
            InvalidBody, AmountTooSmall, AmountTooLarge: The request isn't one that its link takes.
            LinkSoldOut: Fewer pieces are left, now or when the unit runs.
            UnsupportedChain, UnsupportedAsset, AmountTooSmall: The request can't be paid.
            PriceUnavailable: Too few sources gave a usable price.
            WalletNotConfigured: This mode has no wallet, or its next address is not known yet.
            InvalidBody: The metadata has no room for the answers to custom fields.

        """
        methods = self._payment_methods.of(livemode)
        methods.check(request.assets)
        is_priced_by_link = request.link_id is not None and request.fiat is None
        if request.link_id is not None:
            request = await self._db.read(lambda unit: _from_link(unit, request, methods), quick=True)
        options = _asking(request.options)
        if options is not request.options:
            request = replace(request, options=options)
        assert request.fiat is not None, "a session has a price of its own or its link's"
        price = QuoteRequest(livemode, request.fiat, is_from_link=is_priced_by_link)
        if request.assets:
            usable = await self._db.read(lambda unit: _usable(unit, request.assets, methods), quick=True)
            request = replace(request, assets=usable or request.assets)
            if len(request.assets) > 1:
                self._on_choices(livemode, request.assets, price.fiat.currency)
            quote = await self._quotes.first(price, request.assets)
        else:
            quote = await self._quotes.quote(price, request.chain_id, request.asset)
        return lambda unit: self._make(unit, request, quote)

    async def create(self, livemode: bool, request: SessionRequest) -> SessionResource:
        """Make a session. Raises as `prepare` does."""
        return (await self._db.write(await self.prepare(livemode, request), quick=True)).resource

    async def order(self, livemode: bool, request: SessionRequest, form: str, before: str | None) -> SessionResource:
        """Make a session once for an order form, at whichever process it was sent; raises as `prepare` does.

        `before` is the session that it made earlier and that gives way to another one. Any other one is returned.
        """

        def made(unit: ReadUnit) -> SessionResource | None:
            session_id = order_forms.session_of(unit, form)
            session = None if session_id in {None, before} else store.get(unit, str(session_id), livemode)
            return None if session is None else self._reader.describe(unit, session)

        try:
            work = await self.prepare(livemode, request)

            def once(unit: WriteUnit) -> SessionResource:
                earlier = made(unit)
                if earlier is not None:
                    return earlier
                session = work(unit).resource
                order_forms.note(unit, form, session["id"])
                return session

            return await self._db.write(once, quick=True)
        except LinkSoldOut:
            earlier = await self._db.read(made, quick=True)  # its own session may have taken the last piece
            if earlier is None:
                raise
            return earlier

    async def form_session(self, form: str) -> str | None:
        """Return the id of the session that an order form made last."""
        return await self._db.read(lambda unit: order_forms.session_of(unit, form), quick=True)

    async def ongoing(self, session_id: str, link: Link) -> SessionResource | None:
        """Return a link's session while it can be paid on the link's present terms; None for any other session."""

        def read(unit: ReadUnit) -> SessionResource | None:
            session = store.get(unit, session_id, link.livemode)
            if session is None or session.link_id != link.id or session.created_at < link.updated_at:
                return None
            is_over = self._payment_methods.chain_time(link.livemode, unit.now) >= session.terms.expires_at
            is_ongoing = STATUSES[session.status].stage in _ONGOING and not is_over
            return self._reader.describe(unit, session) if is_ongoing else None

        return await self._db.read(read, quick=True)

    def _make(self, unit: WriteUnit, request: SessionRequest, quote: Quote) -> RenderedSession:
        if request.link_id is not None:
            # It may have been switched off, or sold out, since the quote.
            _check_stock(unit, _open_link(unit, request.link_id, quote.methods.livemode), request.quantity)
        tip = cursors.tip(unit, quote.chain.id)
        if tip is None:
            # Before the first processed block no watcher would see a payment.
            raise ChainNotReady(
                f"{quote.chain.name} takes no payments yet: its node hasn't answered since the first start. "
                "Try again in a moment."
            )
        index, address = _take_address(unit, quote.methods.wallet)
        session = Session(
            id=unit.new_id(ids.SESSION),
            livemode=quote.methods.livemode,
            link_id=request.link_id,
            status=Status.PENDING,
            status_reason=None,
            wallet_id=quote.methods.wallet.wallet_id,
            derivation_index=index,
            address=address,
            asset=quote.asset,
            fiat=quote.fiat,
            rate=quote.rate,
            eth_price_usd=quote.eth_price_usd,
            terms=quote.terms(_expires_at(unit, request, quote, tip)),
            options=request.options,
            created_at=unit.now,
            updated_at=unit.now,
            assets=request.assets if len(request.assets) > 1 else (),
            is_chosen=len(request.assets) <= 1,
            address_path=derivation_path(quote.methods.wallet.branch, index),
            quantity=request.quantity,
        )
        store.insert(unit, session)
        rendered = self._reader.render_unpaid(session)
        self._events.record(unit, EventType.SESSION_CREATED, rendered.resource, rendered.body.decode())
        unit.after_commit(self._on_made, session.livemode)
        return rendered


def _expires_at(unit: ReadUnit, request: SessionRequest, quote: Quote, tip: Tip) -> datetime:
    """Return the session's expiry, in the future by the chain's time too: payments are judged by it."""
    ttl_seconds = request.expires_in_seconds or quote.methods.policy.ttl_seconds
    block_time = quote.methods.block_time(quote.chain.id)
    begin = counts_from(unit.now, tip.time, block_time=block_time, recorded_at=events.newest_at(unit))
    return max(quote.methods.chain_time(unit.now), begin) + timedelta(seconds=ttl_seconds)


def _usable(unit: ReadUnit, choices: Sequence[Choice], methods: PaymentMethods) -> tuple[Choice, ...]:
    """Keep the choices on chains that take payments: the address must be safe to give out on each of them."""
    return tuple(
        each
        for each in choices
        if methods.takes_payments(each.chain_id) and cursors.tip(unit, each.chain_id) is not None
    )


def _from_link(unit: ReadUnit, request: SessionRequest, methods: PaymentMethods) -> SessionRequest:
    """Complete a request with its link's values.

    The link's coin holds on another chain, too: a chain without it is refused, rather than paid in its native coin.
    """
    assert request.link_id is not None, "called for a link only"
    link = _open_link(unit, request.link_id, methods.livemode)
    fiat, quantity = terms_of(link, request.fiat, request.quantity)
    _check_stock(unit, link, quantity)
    assets, options = request.assets or _fitting(link, request, methods), request.options
    return replace(
        request,
        fiat=fiat,
        quantity=quantity,
        chain_id=None if assets else request.chain_id or link.chain_id,
        asset=None if assets else request.asset or link.asset,
        options=replace(
            options,
            metadata=link.metadata if options.metadata is None else options.metadata,
            success_url=options.success_url or link.success_url,
            cancel_url=options.cancel_url or link.cancel_url,
            payer_fields=link.payer_fields if options.payer_fields is None else options.payer_fields,
            custom_fields=link.custom_fields if options.custom_fields is None else options.custom_fields,
        ),
        assets=assets,
    )


def _asking(options: SessionOptions) -> SessionOptions:
    """Return the options with the fields that are left to ask for. Raises InvalidBody."""
    problem = objection(options.custom_fields or (), options.metadata)
    if problem is not None:
        raise InvalidBody(f"customFields: {problem}.", param="customFields")
    fields = open_fields(
        options.payer_fields,
        has_email=options.customer_email is not None,
        has_name=options.customer_name is not None,
    )
    return options if fields == options.payer_fields else replace(options, payer_fields=fields)


def _fitting(link: Link, request: SessionRequest, methods: PaymentMethods) -> tuple[Choice, ...]:
    """Return the link's choices that are still configured; of a requested chain or asset, the first.

    Choices that have left the configuration since the link was made are dropped, as long as others remain.
    """
    is_narrowed = request.chain_id is not None or request.asset is not None
    if not link.assets:
        return ()
    fitting = [
        each
        for each in link.assets
        if request.chain_id in {None, each.chain_id} and request.asset in {None, each.symbol}
    ]
    if not fitting:
        known = ", ".join(f"{each.symbol} on chain {each.chain_id}" for each in link.assets)
        param = "chainId" if request.asset is None else "asset"
        raise UnsupportedAsset(f"Payment link {link.id} takes {known}.", param=param)
    configured = methods.configured(fitting)
    if not configured:
        methods.asset(fitting[0])  # raises the error that names the missing chain or asset
    return configured[:1] if is_narrowed else configured


def _open_link(unit: ReadUnit, link_id: str, livemode: bool) -> Link:
    link = links.get(unit, link_id, livemode)
    if link is None:
        raise ResourceNotFound(f"There is no payment link {link_id[:40]} in this mode.", param="linkId")
    if not link.active:
        raise LinkInactive(f"Payment link {link_id} is switched off (active: false).", param="linkId")
    return link


def _check_stock(unit: ReadUnit, link: Link, quantity: int | None) -> None:
    """Raise LinkSoldOut if fewer pieces are left than are ordered."""
    if quantity is None or link.quantity is None or link.quantity.stock is None:
        return
    left = links.sales_of(unit, link).left_of(link.quantity)
    if left is not None and left < quantity:
        message = f"Payment link {link.id} has {left} left." if left else f"Payment link {link.id} is sold out."
        raise LinkSoldOut(message, left=left)


def _take_address(unit: WriteUnit, wallet: Wallet) -> tuple[int, Address]:
    while True:
        index = wallets.take_index(unit, wallet.wallet_id)
        try:
            return index, wallet.address(index)
        except ValueError:
            # This index has no key (BIP-32: less likely than 1 in 2^127); the next one has.
            continue

"""Make checkout sessions and show them.

Making one is two steps: `quote` asks the price sources, outside any transaction, and `make` is the unit that takes the
next address and stores the session with its event. Who moves a session afterwards: `services.judge`.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from crypto_checkout import metrics
from crypto_checkout.core import ids, resources
from crypto_checkout.core.address import Address
from crypto_checkout.core.assess import Tip
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.errors import (
    AmountTooSmall,
    LinkInactive,
    PriceUnavailable,
    ResourceNotFound,
    UnsupportedAsset,
    WalletNotConfigured,
)
from crypto_checkout.core.events import EventType
from crypto_checkout.core.link import Link
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.quotes import COIN_PLACES, Rate, units_for
from crypto_checkout.core.session import Session, Status, Terms
from crypto_checkout.core.shapes import SessionResource
from crypto_checkout.log import get_logger
from crypto_checkout.store import chains, links, lists, payments, wallets
from crypto_checkout.store import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit

from .events import Events
from .offer import Offer, OfferedChain, Offers, Policy, Wallet

log = get_logger("sessions")

_COMPLAIN_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: exactly one of `link_id` and `fiat`. What is None comes from the link, or is the default."""

    link_id: str | None = None
    fiat: Fiat | None = None
    chain_id: int | None = None
    asset: str | None = None
    metadata: Mapping[str, str] | None = None
    success_url: str | None = None
    cancel_url: str | None = None
    return_url: str | None = None
    customer_email: str | None = None
    expires_in_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A price in a coin, and what it was made of. `eth_price_usd` is the native coin's, None for tokens."""

    offer: Offer
    chain: OfferedChain
    asset: Asset
    fiat: Fiat
    rate: Rate
    amount_units: int
    eth_price_usd: str | None


class Sessions:
    """The sessions of both modes."""

    def __init__(self, db: Database, offers: Offers, events: Events, *, public_url: str) -> None:
        self._db = db
        self._offers = offers
        self._events = events
        self._public_url = public_url
        self._complained_at = -math.inf

    async def prepare(self, livemode: bool, wanted: Wanted) -> Callable[[WriteUnit], SessionResource]:
        """Quote a price, and return the unit that stores a session at it.

        Raises:
            ResourceNotFound, LinkInactive: The link is gone, or takes no sessions.
            UnsupportedChain, UnsupportedAsset, AmountTooSmall: It can't be paid like this.
            PriceUnavailable: Too few sources gave a usable price.
            WalletNotConfigured: This mode has no wallet, or its next address is not known yet.

        """
        if wanted.link_id is not None:
            wanted = await self._db.read(lambda unit: _from_link(unit, wanted, livemode))
        quote = await self._quote(livemode, wanted)
        return lambda unit: self._make(unit, wanted, quote)

    async def create(self, livemode: bool, wanted: Wanted) -> SessionResource:
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

    async def listed(self, livemode: bool, wanted: store.Filter, window: lists.Window) -> lists.Page[SessionResource]:
        """Return a page of sessions."""

        def read(unit: ReadUnit) -> lists.Page[SessionResource]:
            page = store.listed(unit, livemode, wanted, window)
            paid = payments.of_sessions(unit, page.items)
            tips = {chain_id: chains.tip(unit, chain_id) for chain_id in {each.asset.chain_id for each in page.items}}
            return page.map(
                lambda each: resources.session(each, paid[each.id], tips[each.asset.chain_id], self._public_url)
            )

        return await self._db.read(read)

    def describe(self, unit: ReadUnit, session: Session) -> SessionResource:
        """Return a session with its payments as of now."""
        of_session = payments.of_session(unit, session)
        return resources.session(session, of_session, chains.tip(unit, session.asset.chain_id), self._public_url)

    async def _quote(self, livemode: bool, wanted: Wanted) -> Quote:
        assert wanted.fiat is not None, "a session has a price of its own or its link's"
        offer = self._offers.of(livemode)
        chain = offer.chain(wanted.chain_id)
        asset = chain.asset(wanted.asset)
        offer.check_ready(chain, asset)
        try:
            rate = await _rate(offer, asset, wanted)
        except PriceUnavailable as error:
            self._complain(error)
            raise
        usd = await _usd(offer, asset, rate)
        return Quote(
            offer=offer,
            chain=chain,
            asset=asset,
            fiat=wanted.fiat,
            rate=rate,
            amount_units=_units(wanted, rate, asset),
            eth_price_usd=None if usd is None else resources.decimal_text(usd),
        )

    def _complain(self, error: PriceUnavailable) -> None:
        """Tell the operator that nothing can be sold now; once a minute is enough."""
        metrics.PRICES_UNAVAILABLE.inc()
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_EVERY_SECONDS:
            self._complained_at = now
            log.warning("no price, so no sessions", error=str(error))

    def _make(self, unit: WriteUnit, wanted: Wanted, quote: Quote) -> SessionResource:
        if wanted.link_id is not None:
            _open_link(unit, wanted.link_id, quote.offer.livemode)  # it may have been switched off since the quote
        tip = chains.tip(unit, quote.chain.id)
        if tip is None:
            # Before the first processed block there is nothing that would see a payment.
            raise WalletNotConfigured(
                f"{quote.chain.name} takes no payments yet: its node hasn't answered since the first start. "
                "Try again in a moment."
            )
        index, address = _take_address(unit, quote.offer.wallet)
        session = Session(
            id=unit.new_id(ids.SESSION),
            livemode=quote.offer.livemode,
            link_id=wanted.link_id,
            status=Status.PENDING,
            status_reason=None,
            wallet_id=quote.offer.wallet.wallet_id,
            derivation_index=index,
            address=address,
            asset=quote.asset,
            fiat=quote.fiat,
            rate=quote.rate,
            eth_price_usd=quote.eth_price_usd,
            terms=_terms(unit, wanted, quote, tip),
            success_url=wanted.success_url,
            cancel_url=wanted.cancel_url,
            return_url=wanted.return_url,
            customer_email=wanted.customer_email,
            created_at=unit.now,
            updated_at=unit.now,
            metadata=wanted.metadata,
        )
        store.insert(unit, session)
        resource = self.describe(unit, session)
        self._events.record(unit, EventType.SESSION_CREATED, resource)
        return resource


def _from_link(unit: ReadUnit, wanted: Wanted, livemode: bool) -> Wanted:
    """Fill in what a link says.

    Its coin stays the wanted one on another chain too: a chain that doesn't have it is refused, rather than paid in
    whatever coin is its first.
    """
    assert wanted.link_id is not None, "only asked for a link"
    link = _open_link(unit, wanted.link_id, livemode)
    return replace(
        wanted,
        fiat=link.fiat,
        chain_id=wanted.chain_id or link.chain_id,
        asset=wanted.asset or link.asset,
        metadata=link.metadata if wanted.metadata is None else wanted.metadata,
        success_url=wanted.success_url or link.success_url,
        cancel_url=wanted.cancel_url or link.cancel_url,
    )


def _open_link(unit: ReadUnit, link_id: str, livemode: bool) -> Link:
    link = links.get(unit, link_id, livemode)
    if link is None:
        raise ResourceNotFound(f"There is no payment link {link_id[:40]} in this mode.", param="linkId")
    if not link.active:
        raise LinkInactive(f"Payment link {link_id} is switched off (active: false).", param="linkId")
    return link


async def _usd(offer: Offer, asset: Asset, rate: Rate) -> Decimal | None:
    """Return what the native coin costs in dollars; None for tokens."""
    if not asset.is_native:
        return None
    return (rate if rate.quote == "USD" else await offer.prices.rate(asset.symbol, "USD")).value


async def _rate(offer: Offer, asset: Asset, wanted: Wanted) -> Rate:
    assert wanted.fiat is not None, "a session has a price of its own or its link's"
    try:
        rate = await offer.prices.rate("USD" if asset.usd_pegged else asset.symbol, wanted.fiat.currency)
    except UnsupportedAsset as error:
        raise UnsupportedAsset(error.message, param=_priced_by(wanted, "amount.currency")) from error
    return replace(rate, base=asset.symbol)


def _units(wanted: Wanted, rate: Rate, asset: Asset) -> int:
    fiat = wanted.fiat
    assert fiat is not None, "a session has a price of its own or its link's"
    step = Fraction(1, 10 ** min(COIN_PLACES, asset.decimals))
    if Fraction(fiat.amount) / Fraction(rate.value) < step:
        raise AmountTooSmall(
            f"{fiat} {fiat.currency} is less than the smallest amount of {asset.symbol} that can be asked for "
            f"({resources.decimal_text(Decimal(step.numerator) / Decimal(step.denominator))} {asset.symbol}).",
            param=_priced_by(wanted, "amount.value"),
        )
    return units_for(fiat.amount, rate, asset.decimals)


def _priced_by(wanted: Wanted, param: str) -> str:
    """Name the field that a wrong price came from."""
    return param if wanted.link_id is None else "linkId"


def _terms(unit: WriteUnit, wanted: Wanted, quote: Quote, tip: Tip) -> Terms:
    policy: Policy = quote.offer.policy
    amount = quote.amount_units
    ttl_seconds = wanted.expires_in_seconds or policy.ttl_seconds
    # By the chain's time where ours is behind it: by the chain's time it will be judged.
    expires_at = max(quote.offer.chain_time(unit.now), tip.time) + timedelta(seconds=ttl_seconds)
    return Terms(
        amount_units=amount,
        minimum_units=amount - _share(amount, policy.underpayment_tolerance_percent),
        maximum_units=amount + _share(amount, policy.overpayment_tolerance_percent),
        expires_at=expires_at,
        grace_until=expires_at + timedelta(seconds=policy.late_grace_seconds),
        required_confirmations=quote.chain.confirmations_for(quote.fiat),
    )


def _share(units: int, percent: Decimal) -> int:
    """Return so many percent of an amount, rounded down."""
    return int(units * Fraction(percent) / 100)


def _take_address(unit: WriteUnit, wallet: Wallet) -> tuple[int, Address]:
    while True:
        index = wallets.take_index(unit, wallet.wallet_id)
        try:
            return index, wallet.address(index)
        except ValueError:
            # This index has no key (BIP-32: less likely than 1 in 2^127); the next one has.
            continue

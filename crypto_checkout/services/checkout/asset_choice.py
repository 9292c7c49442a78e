"""Let a payer choose the network and the coin, where a session allows several.

The price is quoted anew for each choice, and holds until the session expires: when that is was promised when it was
made, and a choice doesn't change it. A choice may be changed as long as nothing at all has come to the address, on any
chain. Then it is settled: the unit that stores it decides by the rows, in the order in which writes happen.

The address is the same on every chain. What has come to it by the time of a choice, on whatever chain, was recorded as
unmatched and forbids the choice; what is in a block that the watcher hasn't processed yet is judged by the choice that
stands when it is. So money that came early is counted or is seen in the wrong place, and is never lost. No event tells
of a choice: nothing that a merchant acts on has happened, and `updatedAt` moves.
"""

from dataclasses import replace
from enum import Enum, auto

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.errors import ResourceNotFound, UnsupportedAsset, WalletNotConfigured
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.checkout.quotes import Priced, Quote, Quotes
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments, unmatched


class ChoiceOutcome(Enum):
    """What came of a choice."""

    CHOSEN = auto()
    OUTDATED = auto()
    """Somebody has chosen otherwise since the page was shown that this came from."""
    LOCKED = auto()
    """Something has come to the address."""
    CLOSED = auto()
    """The session is paid, or its time is over."""


class AssetChoices:
    """The choices of payers in both modes."""

    def __init__(self, db: Database, payment_methods: PaymentMethodsByMode) -> None:
        self._db = db
        self._payment_methods = payment_methods
        self._quotes = Quotes(payment_methods)

    async def options(self, session_id: str) -> tuple[Choice, ...]:
        """Return what can be chosen today. Raises ResourceNotFound."""
        session = await self._db.read(lambda unit: _found(unit, session_id))
        return self._payment_methods.of(session.livemode).configured(session.choices)

    async def state(self, session_id: str) -> ChoiceOutcome | None:
        """Tell what stands in the way of a choice; None for nothing. Raises ResourceNotFound."""
        return await self._db.read(lambda unit: self._obstacle(unit, _found(unit, session_id)))

    async def choose(self, session_id: str, choice: Choice, seen: Choice | None) -> ChoiceOutcome:
        """Quote the price in an asset and make it the session's, unless something stands in the way.

        `seen` is what was chosen when the payer was asked, None for nothing. Repeating is safe: what is chosen already
        keeps its price.

        Raises:
            ResourceNotFound: There is no such session.
            UnsupportedChain, UnsupportedAsset: The session can't be paid like this.
            AmountTooSmall, PriceUnavailable, WalletNotConfigured: Not now, or not in this asset.

        """
        session = await self._db.read(lambda unit: _found(unit, session_id))
        if choice not in session.choices:
            named = f"{choice.symbol[:20]} on chain {choice.chain_id}"
            raise UnsupportedAsset(f"Session {session_id} doesn't take {named}.")
        if _chosen(session) == choice:
            return ChoiceOutcome.CHOSEN
        priced = Priced(session.livemode, session.fiat, is_from_link=session.link_id is not None)
        quote = await self._quotes.quote(priced, choice.chain_id, choice.symbol)
        return await self._db.write(lambda unit: self._store(unit, session_id, quote, seen))

    def _store(self, unit: WriteUnit, session_id: str, quote: Quote, seen: Choice | None) -> ChoiceOutcome:
        session = _found(unit, session_id)
        if _chosen(session) == quote.asset.choice:
            return ChoiceOutcome.CHOSEN
        obstacle = self._obstacle(unit, session)
        if obstacle is not None:
            return obstacle
        if _chosen(session) != seen:
            return ChoiceOutcome.OUTDATED
        tip = cursors.tip(unit, quote.chain.id)
        if tip is None:
            raise WalletNotConfigured(f"{quote.chain.name} takes no payments yet: nobody watches it.")
        if tip.time >= session.terms.expires_at:
            return ChoiceOutcome.CLOSED
        chosen = replace(
            session,
            asset=quote.asset,
            rate=quote.rate,
            eth_price_usd=quote.eth_price_usd,
            terms=quote.terms(session.terms.expires_at, session.terms.grace_until),
            is_chosen=True,
            updated_at=unit.now,
        )
        store.choose(unit, chosen)
        return ChoiceOutcome.CHOSEN

    def _obstacle(self, unit: ReadUnit, session: Session) -> ChoiceOutcome | None:
        if payments.has_any(unit, session.id) or unmatched.has_any(unit, session.id):
            return ChoiceOutcome.LOCKED
        now = self._payment_methods.chain_time(session.livemode, unit.now)
        if session.status is not Status.PENDING or now >= session.terms.expires_at:
            return ChoiceOutcome.CLOSED
        return None


def _chosen(session: Session) -> Choice | None:
    return session.asset.choice if session.is_chosen else None


def _found(unit: ReadUnit, session_id: str) -> Session:
    session = store.get(unit, session_id)
    if session is None:
        raise ResourceNotFound("There is no such checkout session.")
    return session

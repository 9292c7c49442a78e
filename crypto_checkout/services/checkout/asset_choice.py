"""Let a payer choose the network and the coin of a session that allows several.

Each choice is quoted anew and its price holds until the session expires; a choice never moves the expiry. The choice
stays open until the address receives a first transfer, on any chain. The unit that stores a choice checks this against
the rows, in the order in which writes happen.

The address is the same on every chain. A transfer recorded before a choice, on any chain, is an unmatched payment and
locks the choice; a transfer in a block still unprocessed is judged by the choice in force when the block is processed.
So early money is either counted or recorded as unmatched, and never lost. A choice records no event, because a merchant
has nothing to act on yet; `updatedAt` moves.
"""

from dataclasses import replace
from enum import Enum, auto

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.errors import ChainNotReady, ResourceNotFound, UnsupportedAsset
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.checkout.quotes import Quote, QuoteRequest, Quotes
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments, unmatched


class ChoiceOutcome(Enum):
    """The outcome of a choice."""

    CHOSEN = auto()
    OUTDATED = auto()
    """Another choice was made after the payer's page was rendered."""
    LOCKED = auto()
    """The address has received a transfer."""
    CLOSED = auto()
    """The session is paid or has expired."""


class AssetChoices:
    """Payers' choices in both modes."""

    def __init__(self, db: Database, payment_methods: PaymentMethodsByMode) -> None:
        self._db = db
        self._payment_methods = payment_methods
        self._quotes = Quotes(payment_methods)

    async def options(self, session_id: str) -> tuple[Choice, ...]:
        """Return the choices that are configured today, on chains that take payments now.

        Raises ResourceNotFound, and WalletNotConfigured where all these chains take none now.
        """
        session = await self._db.read(lambda unit: _found(unit, session_id))
        methods = self._payment_methods.of(session.livemode)
        configured = methods.configured(session.choices)
        usable = tuple(choice for choice in configured if not methods.stopped(choice.chain_id))
        if configured and not usable:
            raise ChainNotReady(f"No chain that session {session_id} can be paid on takes payments now.")
        return usable

    async def obstacle(self, session_id: str) -> ChoiceOutcome | None:
        """Return the obstacle to a choice, None where the payer may choose. Raises ResourceNotFound."""
        return await self._db.read(lambda unit: self._obstacle(unit, _found(unit, session_id)))

    async def choose(self, session_id: str, choice: Choice, shown: Choice | None) -> ChoiceOutcome:
        """Quote the price in an asset and make it the session's, unless there is an obstacle.

        `shown` is the choice on the payer's page, None for no choice. Repeating is safe: the asset already
        chosen keeps its price.

        Raises:
            ResourceNotFound: There is no such session.
            UnsupportedChain, UnsupportedAsset: The session doesn't take this asset.
            AmountTooSmall, PriceUnavailable, WalletNotConfigured: Not now, or not in this asset.

        """
        session = await self._db.read(lambda unit: _found(unit, session_id))
        if choice not in session.choices:
            named = f"{choice.symbol[:20]} on chain {choice.chain_id}"
            raise UnsupportedAsset(f"Session {session_id} doesn't take {named}.")
        if _chosen(session) == choice:
            return ChoiceOutcome.CHOSEN
        price = QuoteRequest(session.livemode, session.fiat, is_from_link=session.link_id is not None)
        quote = await self._quotes.quote(price, choice.chain_id, choice.symbol)
        return await self._db.write(lambda unit: self._store(unit, session_id, quote, shown))

    def _store(self, unit: WriteUnit, session_id: str, quote: Quote, shown: Choice | None) -> ChoiceOutcome:
        session = _found(unit, session_id)
        if _chosen(session) == quote.asset.choice:
            return ChoiceOutcome.CHOSEN
        obstacle = self._obstacle(unit, session)
        if obstacle is not None:
            return obstacle
        if _chosen(session) != shown:
            return ChoiceOutcome.OUTDATED
        tip = cursors.tip(unit, quote.chain.id)
        if tip is None:
            raise ChainNotReady(f"{quote.chain.name} takes no payments yet: nobody watches it.")
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

"""Quote prices in coins: ask the price sources, outside any transaction, and derive a session's terms."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from crypto_checkout import metrics
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.quotes import COIN_PLACES, Rate, units_for
from crypto_checkout.core.checkout.session import Terms
from crypto_checkout.core.errors import AmountTooSmall, CheckoutError, PriceUnavailable, UnsupportedAsset
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public import render
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import (
    AcceptedChain,
    PaymentMethods,
    PaymentMethodsByMode,
    rate_of,
)

log = get_logger("quotes")

_WARN_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """A price to be quoted; `is_from_link` decides which field an error blames."""

    livemode: bool
    fiat: Fiat
    is_from_link: bool

    def param(self, field: str) -> str:
        """Return the name of the field that a wrong price came from."""
        return "linkId" if self.is_from_link else field


@dataclass(frozen=True, slots=True)
class Quote:
    """A price in a coin, and its ingredients.

    `eth_price_usd` is the native coin's price; None for tokens, and where nothing quotes it in dollars.
    """

    methods: PaymentMethods
    chain: AcceptedChain
    asset: Asset
    fiat: Fiat
    rate: Rate
    amount_units: int
    eth_price_usd: str | None

    def terms(self, expires_at: datetime, grace_until: datetime | None = None) -> Terms:
        """Return a session's terms at this price, with the configured tolerances and, unless given, grace period."""
        policy = self.methods.policy
        amount = self.amount_units
        return Terms(
            amount_units=amount,
            minimum_units=amount - _share(amount, policy.underpayment_tolerance_percent),
            maximum_units=amount + _share(amount, policy.overpayment_tolerance_percent),
            expires_at=expires_at,
            grace_until=grace_until or expires_at + timedelta(seconds=policy.late_grace_seconds),
            required_confirmations=self.chain.confirmations_for(self.fiat),
        )


class Quotes:
    """Quotes prices in both modes."""

    def __init__(self, payment_methods: PaymentMethodsByMode) -> None:
        self._payment_methods = payment_methods
        self._warned_at = -math.inf

    async def quote(self, request: QuoteRequest, chain_id: int | None, symbol: str | None) -> Quote:
        """Quote a price in one asset; None means the mode's first chain, or the chain's native coin.

        Raises:
            UnsupportedChain, UnsupportedAsset, AmountTooSmall: The price can't be paid in this asset.
            PriceUnavailable: Too few sources gave a usable price.
            WalletNotConfigured: This mode has no wallet, or its next address is not known yet.

        """
        methods = self._payment_methods.of(request.livemode)
        chain = methods.chain(chain_id)
        asset = chain.asset(symbol)
        methods.check_ready(chain, asset)
        try:
            rate = await _rate(methods, asset, request)
        except PriceUnavailable as error:
            self._warn(error)
            raise
        usd = await _usd(methods, asset, rate)
        return Quote(
            methods=methods,
            chain=chain,
            asset=asset,
            fiat=request.fiat,
            rate=rate,
            amount_units=_units(request, rate, asset),
            eth_price_usd=None if usd is None else render.decimal_text(usd),
        )

    async def first(self, request: QuoteRequest, choices: Sequence[Choice]) -> Quote:
        """Quote a price in the first asset that can be priced now. Raises what `quote` raises for the first asset."""
        failed: CheckoutError | None = None
        for choice in choices:
            try:
                return await self.quote(request, choice.chain_id, choice.symbol)
            except CheckoutError as error:
                failed = failed or error
        assert failed is not None, "choices are never empty"
        raise failed

    def _warn(self, error: PriceUnavailable) -> None:
        """Warn the operator that no session can be priced, at most once a minute."""
        metrics.PRICES_UNAVAILABLE.inc()
        now = time.monotonic()
        if now - self._warned_at >= _WARN_EVERY_SECONDS:
            self._warned_at = now
            log.warning("no price, so no sessions", error=str(error))


async def _usd(methods: PaymentMethods, asset: Asset, rate: Rate) -> Decimal | None:
    """Return the price of the native coin in dollars; None for tokens, and where nothing quotes it in dollars."""
    if not asset.is_native:
        return None
    try:
        return (rate if rate.quote == "USD" else await methods.prices.rate(asset.symbol, "USD")).value
    except UnsupportedAsset:
        return None


async def _rate(methods: PaymentMethods, asset: Asset, request: QuoteRequest) -> Rate:
    try:
        return await rate_of(methods.prices, asset, request.fiat.currency)
    except UnsupportedAsset as error:
        raise UnsupportedAsset(error.message, param=request.param("amount.currency")) from error


def _units(request: QuoteRequest, rate: Rate, asset: Asset) -> int:
    fiat, places = request.fiat, min(COIN_PLACES, asset.decimals)
    if fiat.amount.scaleb(places) < rate.value:
        raise AmountTooSmall(
            f"{fiat} {fiat.currency} is less than the smallest amount of {asset.symbol} that can be asked for "
            f"({render.decimal_text(Decimal(1).scaleb(-places))} {asset.symbol}).",
            param=request.param("amount.value"),
        )
    return units_for(fiat.amount, rate, asset.decimals)


def _share(units: int, percent: Decimal) -> int:
    """Return a percentage of an amount, rounded down."""
    above, below = percent.as_integer_ratio()
    return units * above // (below * 100)

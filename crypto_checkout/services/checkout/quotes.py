"""Quote prices in coins: ask the price sources, outside any transaction, and make terms of what they say."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from crypto_checkout import metrics
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.quotes import COIN_PLACES, Rate, units_for
from crypto_checkout.core.checkout.session import Terms
from crypto_checkout.core.errors import AmountTooSmall, CheckoutError, PriceUnavailable, UnsupportedAsset
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public import render
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, PaymentMethods, PaymentMethodsByMode

log = get_logger("quotes")

_COMPLAIN_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Priced:
    """What is to be quoted; `is_from_link` says whose fault a price is that can't be."""

    livemode: bool
    fiat: Fiat
    is_from_link: bool

    def param(self, field: str) -> str:
        """Name the field that a wrong price came from."""
        return "linkId" if self.is_from_link else field


@dataclass(frozen=True, slots=True)
class Quote:
    """A price in a coin, and what it was made of. `eth_price_usd` is the native coin's, None for tokens."""

    methods: PaymentMethods
    chain: AcceptedChain
    asset: Asset
    fiat: Fiat
    rate: Rate
    amount_units: int
    eth_price_usd: str | None

    def terms(self, expires_at: datetime, grace_until: datetime | None = None) -> Terms:
        """Return the terms of a session at this price, with the configured tolerances; the grace too, unless given."""
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
    """Quotes in both modes."""

    def __init__(self, payment_methods: PaymentMethodsByMode) -> None:
        self._payment_methods = payment_methods
        self._complained_at = -math.inf

    async def quote(self, wanted: Priced, chain_id: int | None, symbol: str | None) -> Quote:
        """Quote a price in one asset; None means the mode's first chain, and a chain's native coin.

        Raises:
            UnsupportedChain, UnsupportedAsset, AmountTooSmall: It can't be paid like this.
            PriceUnavailable: Too few sources gave a usable price.
            WalletNotConfigured: This mode has no wallet, or its next address is not known yet.

        """
        methods = self._payment_methods.of(wanted.livemode)
        chain = methods.chain(chain_id)
        asset = chain.asset(symbol)
        methods.check_ready(chain, asset)
        try:
            rate = await _rate(methods, asset, wanted)
        except PriceUnavailable as error:
            self._complain(error)
            raise
        usd = await _usd(methods, asset, rate)
        return Quote(
            methods=methods,
            chain=chain,
            asset=asset,
            fiat=wanted.fiat,
            rate=rate,
            amount_units=_units(wanted, rate, asset),
            eth_price_usd=None if usd is None else render.decimal_text(usd),
        )

    async def first(self, wanted: Priced, choices: Sequence[Choice]) -> Quote:
        """Quote a price in the first of some assets that has one now. Raises what `quote` raises for the first."""
        failed: CheckoutError | None = None
        for choice in choices:
            try:
                return await self.quote(wanted, choice.chain_id, choice.symbol)
            except CheckoutError as error:
                failed = failed or error
        assert failed is not None, "there is something to choose from"
        raise failed

    def _complain(self, error: PriceUnavailable) -> None:
        """Tell the operator that nothing can be sold now; once a minute is enough."""
        metrics.PRICES_UNAVAILABLE.inc()
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_EVERY_SECONDS:
            self._complained_at = now
            log.warning("no price, so no sessions", error=str(error))


async def _usd(methods: PaymentMethods, asset: Asset, rate: Rate) -> Decimal | None:
    """Return what the native coin costs in dollars; None for tokens."""
    if not asset.is_native:
        return None
    return (rate if rate.quote == "USD" else await methods.prices.rate(asset.symbol, "USD")).value


async def _rate(methods: PaymentMethods, asset: Asset, wanted: Priced) -> Rate:
    try:
        rate = await methods.prices.rate("USD" if asset.usd_pegged else asset.symbol, wanted.fiat.currency)
    except UnsupportedAsset as error:
        raise UnsupportedAsset(error.message, param=wanted.param("amount.currency")) from error
    return replace(rate, base=asset.symbol)


def _units(wanted: Priced, rate: Rate, asset: Asset) -> int:
    fiat = wanted.fiat
    step = Fraction(1, 10 ** min(COIN_PLACES, asset.decimals))
    if Fraction(fiat.amount) / Fraction(rate.value) < step:
        raise AmountTooSmall(
            f"{fiat} {fiat.currency} is less than the smallest amount of {asset.symbol} that can be asked for "
            f"({render.decimal_text(Decimal(step.numerator) / Decimal(step.denominator))} {asset.symbol}).",
            param=wanted.param("amount.value"),
        )
    return units_for(fiat.amount, rate, asset.decimals)


def _share(units: int, percent: Decimal) -> int:
    """Return so many percent of an amount, rounded down."""
    return int(units * Fraction(percent) / 100)

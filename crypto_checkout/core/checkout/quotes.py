"""Exchange rates: judging the sources' answers, and converting a fiat amount into units of a coin.

Arithmetic is exact or decimal, never binary. Asking the sources is `prices.board`'s work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from types import MappingProxyType

from crypto_checkout.core.errors import PriceJumped, PriceUnavailable

FUTURE_TOLERANCE = timedelta(seconds=15)
"""The lead of a source's clock that is tolerated; beyond that, the age of its answer is unknown."""

# Amounts of a coin are rounded up to 10^-8 of it, so that a payer can type what a page shows.
COIN_PLACES = 8

# A price outside these bounds is a broken answer. They also keep the arithmetic below exact and small.
_MAX_DIGITS = 50
_MAX_EXPONENT = 30
_EXACT = Context(prec=4 * _MAX_DIGITS)

# A lone source's rate may differ from the last one by this many times the spread allowed among sources.
_JUMP_FACTOR = 5
JUMP_WITHIN = timedelta(hours=1)
"""The age up to which the last rate is held against a lone source; markets move further in a longer time."""

_NO_FAILURES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Observation:
    """One source's answer: at `observed_at`, one unit of the base cost `value` of the quote currency."""

    source: str
    value: Decimal
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit of `base` in `quote`, the sources that agree on it, and the time of their oldest answer.

    `str(value)` may use an exponent (`9.6E-7`); show `f"{value:f}"` to people and in the API.
    """

    base: str
    quote: str
    value: Decimal
    sources: tuple[str, ...]
    observed_at: datetime


def agreed_rate(
    base: str,
    quote: str,
    observations: Iterable[Observation],
    *,
    now: datetime,
    quorum: int,
    max_age_seconds: float,
    max_spread_percent: Decimal,
    failures: Mapping[str, str] = _NO_FAILURES,
    last: Rate | None = None,
) -> Rate:
    """Combine several answers into one rate, or raise PriceUnavailable with the fault of each.

    Zero, negative, absurd, stale and future answers are refused. The rate is the median of the rest, of which more
    than half, and at least `quorum` (never less than one), must lie within `max_spread_percent` of it; the others are
    refused as outliers. An even number of answers has two in the middle, which must agree within the spread too:
    either could be the right one. The median is taken before outliers are refused: its middle answers are always among
    those kept, so one liar among three can't move it out of the range of the two honest ones.

    `last` is the rate settled before. A single source that moves it by more than five times the spread within an hour,
    up or down, is refused with PriceJumped; two that agree are believed.

    `failures` are the reasons of sources without an answer; they only go into the error.
    """
    wrong = dict(failures)
    usable: list[Observation] = []
    for observation in _newest_of_each_source(observations):
        reason = _refusal(observation, now=now, max_age_seconds=max_age_seconds)
        if reason is None:
            usable.append(observation)
        else:
            # A failed request explains more than the age of the last answer.
            wrong.setdefault(observation.source, reason)
    agreed = _agreeing(usable, max_spread_percent, wrong)
    needed = max(quorum, 1)
    if len(agreed) < needed:
        raise PriceUnavailable(_explain(base, quote, len(agreed), needed, wrong))
    rate = Rate(
        base=base,
        quote=quote,
        value=_median([each.value for each in usable]),
        sources=tuple(each.source for each in agreed),
        observed_at=min(each.observed_at for each in agreed),
    )
    if last is not None and len(agreed) == 1 and _is_jump(rate, last, now, max_spread_percent):
        wrong[agreed[0].source] = (
            f"{rate.value:f} is far from the last rate {last.value:f}, and no other source confirms it"
        )
        raise PriceJumped(_explain(base, quote, 0, needed, wrong))
    return rate


def units_for(fiat_amount: Decimal, rate: Rate, decimals: int) -> int:
    """Return the smallest units of the coin that `fiat_amount` buys at `rate`, rounded up.

    The step is 10^-8 of the coin, or its smallest unit if that is coarser (`decimals` below 8). The result is worth at
    least `fiat_amount`, exactly, and less than one step more. Raises ValueError unless amount and rate are positive.
    """
    if not (
        fiat_amount.is_finite() and fiat_amount > 0 and rate.value.is_finite() and rate.value > 0 and decimals >= 0
    ):
        raise ValueError(f"can't price {fiat_amount} {rate.quote} at {rate.value} with {decimals} decimals")
    places = min(COIN_PLACES, decimals)
    # In integers, exact like fractions and ten times as fast; the two signs round up.
    (above, below), (price, per) = fiat_amount.as_integer_ratio(), rate.value.as_integer_ratio()
    steps = -(-above * per * 10**places // (below * price))
    return int(steps * 10 ** (decimals - places))


def _newest_of_each_source(observations: Iterable[Observation]) -> list[Observation]:
    """Keep the newest answer of each source: a source counted twice could form a quorum by itself."""
    newest: dict[str, Observation] = {}
    for each in observations:
        known = newest.get(each.source)
        if known is None or each.observed_at > known.observed_at:
            newest[each.source] = each
    return list(newest.values())


def _refusal(observation: Observation, *, now: datetime, max_age_seconds: float) -> str | None:
    """Return the reason to refuse an answer, or None for a good one."""
    value = observation.value
    if not value.is_finite():
        return f"{value} is no price"
    if value <= 0:
        return "a negative price" if value else "a price of zero"
    if not _is_sized(value):
        return "an absurd price"
    age = now - observation.observed_at
    if age > timedelta(seconds=max_age_seconds):
        return f"stale ({age.total_seconds():.0f} s old)"
    if age < -FUTURE_TOLERANCE:
        return f"from the future ({-age.total_seconds():.0f} s ahead)"
    return None


def _is_sized(value: Decimal) -> bool:
    return len(value.as_tuple().digits) <= _MAX_DIGITS and abs(value.adjusted()) <= _MAX_EXPONENT


def _agreeing(usable: Sequence[Observation], max_spread_percent: Decimal, wrong: dict[str, str]) -> list[Observation]:
    """Return the answers that agree with the median, none without a majority; add the others to `wrong`."""
    if not usable:
        return []
    values = sorted(each.value for each in usable)
    middle = Fraction(_median(values))
    tolerance = middle * Fraction(max_spread_percent) / 100
    low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
    kept = [each for each in usable if abs(Fraction(each.value) - middle) <= tolerance]
    if Fraction(high) - Fraction(low) > tolerance or 2 * len(kept) <= len(usable):
        wrong.update({each.source: f"{each.value:f}, and no majority agrees" for each in usable})
        return []
    wrong.update({each.source: f"{each.value:f} is an outlier" for each in usable if each not in kept})
    return kept


def _is_jump(rate: Rate, last: Rate, now: datetime, max_spread_percent: Decimal) -> bool:
    """Tell whether a rate is too far from one of the last hour; half the price is as far as twice the price."""
    if abs(now - last.observed_at) > JUMP_WITHIN:
        return False
    low, high = sorted([Fraction(rate.value), Fraction(last.value)])
    return high > low * (1 + _JUMP_FACTOR * Fraction(max_spread_percent) / 100)


def _median(values: Sequence[Decimal]) -> Decimal:
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    # The default context would round sums of long numbers, and could leave the range of the answers.
    return low if low == high else _EXACT.divide(_EXACT.add(low, high), Decimal(2))


def _explain(base: str, quote: str, agreed: int, needed: int, wrong: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{source}: {reason}" for source, reason in sorted(wrong.items())) or "no source was asked"
    return f"No reliable {base}/{quote} price now ({agreed} of {needed} needed sources usable): {reasons}. Try again."

"""A trial of price sources: what each says, and what they settle."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.prices.source import Source
from crypto_checkout.prices.trial import PriceTrial, TrialResult

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class Stub:
    """A source that says one thing."""

    name: str
    value: str | None
    age_seconds: int = 0

    async def observe(self, base: str, quote: str) -> Observation:  # noqa: ARG002 - the interface
        if self.value is None:
            raise SourceFailed("is closed")
        return Observation(self.name, Decimal(self.value), NOW - timedelta(seconds=self.age_seconds))


async def tried(*sources: Stub, quorum: int = 1) -> TrialResult:
    asked: list[str] = []

    @asynccontextmanager
    async def opened(names: Sequence[str]) -> AsyncIterator[Sequence[Source]]:
        asked.extend(names)
        yield sources

    trial = PriceTrial(opened, max_age_seconds=120, max_spread_percent=Decimal(3), clock=lambda: NOW)
    found = await trial.run("ETH", "USD", [each.name for each in sources], quorum)
    assert asked == [each.name for each in sources]
    return found


async def test_the_median_is_settled_of_the_answers_that_agree_and_each_answer_is_shown() -> None:
    found = await tried(
        Stub("a", "3000"), Stub("b", "3010"), Stub("c", "4000"), Stub("d", "3005", age_seconds=300), Stub("e", None)
    )
    assert found.rate is not None
    assert (found.rate.value, found.rate.sources) == (Decimal(3010), ("a", "b"))
    assert [(each.source, each.value, each.problem) for each in found.answers] == [
        ("a", Decimal(3000), None),
        ("b", Decimal(3010), None),
        ("c", Decimal(4000), "too far from the others"),
        ("d", Decimal(3005), "older than 120 s"),
        ("e", None, "is closed"),
    ]


@pytest.mark.parametrize("sources", [[Stub("a", "3000")], [Stub("a", "3000"), Stub("b", None)], [Stub("a", None)]])
async def test_without_the_quorum_there_is_no_price(sources: list[Stub]) -> None:
    found = await tried(*sources, quorum=2)
    assert found.rate is None
    assert found.problem

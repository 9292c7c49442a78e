"""The board in front of real sources and servers on this machine: what it asks, whom it waits for, what it says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from crypto_checkout.core.checkout.quotes import Observation, Rate
from crypto_checkout.core.errors import PriceUnavailable, UnsupportedAsset
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.fixed import TEST_PRICES, FixedSource
from crypto_checkout.prices.source import Connections, Source
from crypto_checkout.prices.source_state import MAX_BACKOFF_SECONDS, Pair, SourceState
from crypto_checkout.prices.sources import SOURCES
from tests.support.exchanges import (
    NOW,
    Clock,
    Exchanges,
    coinbase,
    coingecko,
    connections_to,
    http,
    kraken,
    ok,
    open_exchanges,
)
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio

ALL = ("coinbase", "kraken", "coingecko")


@dataclass
class Market:
    exchanges: Exchanges
    connections: Connections
    clock: Clock
    boards: list[PriceBoard] = field(default_factory=list)

    def board(self, *names: str, quorum: int = 1, **options: Any) -> PriceBoard:
        """Open a board that waits for its sources, however slow the machine is, unless told otherwise."""
        connections = replace(self.connections, timeout_seconds=WAIT_SECONDS)
        sources = [SOURCES[name](connections) for name in names or ALL]
        patient = {"patience_seconds": WAIT_SECONDS, "deadline_seconds": WAIT_SECONDS}
        return self.board_of(sources, quorum=quorum, **{**patient, **options})

    def board_of(self, sources: Sequence[Source], *, quorum: int = 1, **options: Any) -> PriceBoard:
        board = PriceBoard(
            sources,
            quorum=quorum,
            max_age_seconds=120,
            max_spread_percent=Decimal(3),
            clock=self.clock,
            **options,
        )
        self.boards.append(board)
        return board


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    clock = Clock()
    async with open_exchanges() as exchanges, connections_to(exchanges.url, clock=clock) as connections:
        opened = Market(exchanges, connections, clock)
        yield opened
        for board in opened.boards:
            await board.close()


def state_of(board: PriceBoard, name: str) -> SourceState:
    return next(state for state in board._sources if state.name == name)


async def refused(board: PriceBoard, base: str = "ETH", quote: str = "USD") -> str:
    with pytest.raises(PriceUnavailable) as caught:
        await board.rate(base, quote)
    return caught.value.message


class Broken:
    """A source with a bug."""

    name = "broken"

    async def observe(self, base: str, quote: str) -> Observation:
        raise TypeError(f"{base}/{quote}")


async def test_the_rate_is_the_median_of_all_sources(market: Market) -> None:
    rate = await market.board().rate("ETH", "USD")
    assert rate == Rate("ETH", "USD", Decimal("3000.15"), ALL, NOW - timedelta(seconds=30))


async def test_sources_are_not_asked_again_within_the_reuse_time(market: Market) -> None:
    board = market.board(reuse_seconds=10)
    for _ in range(5):
        await board.rate("ETH", "USD")
        market.clock.advance(1.9)
    assert len(market.exchanges.targets) == 3
    market.clock.advance(1)
    await board.rate("ETH", "USD")
    assert len(market.exchanges.targets) == 6


async def test_answers_are_never_reused_for_more_than_a_quarter_of_their_maximum_age(market: Market) -> None:
    board = market.board("coinbase", reuse_seconds=1000)
    await board.rate("ETH", "USD")
    market.clock.advance(30)
    await board.rate("ETH", "USD")
    assert market.exchanges.count("coinbase") == 2


async def test_a_clock_that_was_set_back_brings_a_new_question(market: Market) -> None:
    board = market.board("coinbase")
    await board.rate("ETH", "USD")
    market.clock.advance(-3600)
    assert (await board.rate("ETH", "USD")).observed_at == market.clock.now


async def test_callers_at_the_same_time_share_the_questions(market: Market) -> None:
    board = market.board()
    rates = await asyncio.gather(*[board.rate("ETH", "USD") for _ in range(50)])
    assert len(set(rates)) == 1
    assert sorted(market.exchanges.count(name) for name in ALL) == [1, 1, 1]


async def test_a_cancelled_caller_does_not_disturb_the_others(market: Market) -> None:
    market.exchanges.held.update(ALL)
    board = market.board()
    first = asyncio.create_task(board.rate("ETH", "USD"))
    second = asyncio.create_task(board.rate("ETH", "USD"))
    await market.exchanges.wait_for_requests(3)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    market.exchanges.released.set()
    assert (await second).sources == ALL
    assert len(market.exchanges.targets) == 3


async def test_a_down_source_is_not_asked_again_at_every_request(market: Market) -> None:
    market.exchanges.answers["coinbase"] = http(500, "")
    board = market.board(reuse_seconds=0)
    for _ in range(20):
        assert (await board.rate("ETH", "USD")).sources == ("kraken", "coingecko")
    assert (market.exchanges.count("coinbase"), market.exchanges.count("kraken")) == (1, 20)


async def test_the_back_off_grows_up_to_its_cap_and_ends_with_an_answer(market: Market) -> None:
    market.exchanges.answers["coinbase"] = http(500, "")
    board = market.board("coinbase")
    waits = []
    for _ in range(9):
        await refused(board)
        until = state_of(board, "coinbase")._retry_at
        assert until is not None
        waits.append((until - market.clock.now).total_seconds())
        market.clock.now = until
    assert waits == [5, 10, 20, 40, 80, 160, 300, MAX_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS]
    market.exchanges.answers["coinbase"] = ok(coinbase("3000"))
    await board.rate("ETH", "USD")
    assert state_of(board, "coinbase")._retry_at is None
    market.exchanges.answers["coinbase"] = http(500, "")
    market.clock.advance(130)
    await refused(board)
    assert state_of(board, "coinbase")._retry_at == market.clock.now + timedelta(seconds=5)


async def test_pairs_that_fail_together_count_as_one_failure(market: Market) -> None:
    market.exchanges.answers["coinbase"] = http(500, "")
    board = market.board("coinbase")
    await asyncio.gather(refused(board), refused(board, quote="EUR"), refused(board, quote="GBP"))
    assert state_of(board, "coinbase")._retry_at == NOW + timedelta(seconds=5)


async def test_a_throttled_source_is_left_alone_for_as_long_as_it_asks(market: Market) -> None:
    market.exchanges.answers["coingecko"] = http(429, "", "Retry-After: 119\r\n")
    board = market.board("coingecko")
    assert "coingecko: too many requests" in await refused(board)
    market.clock.advance(118)
    await refused(board)
    assert market.exchanges.count("coingecko") == 1
    market.clock.advance(1)
    await refused(board)
    assert market.exchanges.count("coingecko") == 2


async def test_a_source_that_was_down_is_not_waited_for(market: Market) -> None:
    market.exchanges.answers["kraken"] = http(500, "")
    board = market.board()
    await board.rate("ETH", "USD")
    market.exchanges.answers["kraken"] = ok(kraken("3000.3", "3000.1"))
    market.exchanges.held.add("kraken")
    market.clock.advance(11)
    async with asyncio.timeout(WAIT_SECONDS):
        assert (await board.rate("ETH", "USD")).sources == ("coinbase", "coingecko")
        await market.exchanges.wait_for_requests(6)
    assert market.exchanges.count("kraken") == 2


async def test_a_slow_source_costs_a_moment_and_its_answer_is_kept(market: Market) -> None:
    market.exchanges.held.add("kraken")
    board = market.board(quorum=2, patience_seconds=0.01)  # the quorum has it wait for both others
    assert (await board.rate("ETH", "USD")).sources == ("coinbase", "coingecko")
    market.exchanges.released.set()

    async def is_whole() -> bool:
        return (await board.rate("ETH", "USD")).sources == ALL

    await until(is_whole, "the slow source's answer")
    assert len(market.exchanges.targets) == 3


async def test_a_source_without_a_time_limit_meets_the_boards(market: Market) -> None:
    market.exchanges.held.add("coinbase")
    for seconds in (0.05, 1, 30):  # a busy machine may not get as far as the question in the first
        assert "No reliable ETH/USD price" in await refused(market.board("coinbase", deadline_seconds=seconds))
        if market.exchanges.targets:
            break
    assert market.exchanges.count("coinbase") == 1


async def test_a_slow_source_is_waited_for_when_there_is_no_quorum_without_it(market: Market) -> None:
    market.exchanges.held.add("kraken")
    board = market.board(quorum=3, patience_seconds=0)
    rate = asyncio.create_task(board.rate("ETH", "USD"))
    await market.exchanges.wait_for_requests(3)
    market.exchanges.released.set()
    assert (await rate).sources == ALL


async def test_the_last_answer_of_a_down_source_stands_in_while_it_is_fresh(market: Market) -> None:
    board = market.board("coinbase")
    await board.rate("ETH", "USD")
    market.exchanges.answers["coinbase"] = http(500, "")
    market.clock.advance(120)
    assert (await board.rate("ETH", "USD")).observed_at == NOW
    market.clock.advance(1)
    assert "coinbase: answered with status 500" in await refused(board)


async def test_a_rate_is_settled_once_for_the_same_answers(market: Market) -> None:
    board = market.board()
    rate = await board.rate("ETH", "USD")
    market.clock.advance(9)
    assert await board.rate("ETH", "USD") is rate
    market.clock.advance(2)
    market.exchanges.answers["coinbase"] = ok(coinbase("3000.30"))
    assert (await board.rate("ETH", "USD")).value > rate.value


async def test_a_rate_is_settled_anew_while_an_answer_is_refused_that_could_be_taken_later(market: Market) -> None:
    board = market.board("kraken", "coingecko", reuse_seconds=30)
    market.exchanges.answers["coingecko"] = ok(coingecko(3000, age_seconds=-20))
    assert (await board.rate("ETH", "USD")).sources == ("kraken",)
    market.clock.advance(6)
    assert (await board.rate("ETH", "USD")).sources == ("kraken", "coingecko")
    assert market.exchanges.count("coingecko") == 1


async def test_an_unsupported_pair_is_remembered_and_harms_no_other(market: Market) -> None:
    market.exchanges.answers["coinbase"] = http(404, '{"errors":[{"message":"Invalid currency"}]}')
    board = market.board("coinbase", "coingecko", reuse_seconds=0)
    for _ in range(3):
        await refused(board, "BNB", "SEK")  # CoinGecko's answer is about ETH: broken, not unsupported
    assert market.exchanges.count("coinbase") == 1
    state = state_of(board, "coinbase")
    assert (state.lacks(Pair("BNB", "SEK")), state.is_trusted) == (True, True)
    market.exchanges.answers["coinbase"] = ok(coinbase("3000"))
    assert "coinbase" in (await board.rate("ETH", "USD")).sources
    market.clock.advance(3600)
    await refused(board, "BNB", "SEK")
    assert market.exchanges.count("coinbase") == 3


async def test_a_pair_that_no_source_quotes_is_unsupported_rather_than_unavailable(market: Market) -> None:
    market.exchanges.answers["coinbase"] = http(404, '{"errors":[{"message":"Invalid currency"}]}')
    market.exchanges.answers["kraken"] = ok({"error": ["EQuery:Unknown asset pair"]})
    with pytest.raises(UnsupportedAsset, match="No price source quotes ETH/SLE"):
        await market.board("coinbase", "kraken").rate("ETH", "SLE")


@pytest.mark.parametrize("pair", [("ETH", "usd"), ("ETH", "US"), ("ETH/../x", "USD"), ("", "USD"), ("ETH", "USD\n")])
async def test_what_is_no_symbol_is_not_asked_for(market: Market, pair: tuple[str, str]) -> None:
    with pytest.raises(UnsupportedAsset):
        await market.board().rate(*pair)
    assert market.exchanges.targets == []


async def test_a_currency_in_itself_costs_one_and_nobody_is_asked(market: Market) -> None:
    assert await market.board().rate("USD", "USD") == Rate("USD", "USD", Decimal(1), ("par",), NOW)
    assert market.exchanges.targets == []


async def test_without_usable_answers_the_price_is_unavailable_for_reasons(market: Market) -> None:
    market.exchanges.answers["coinbase"] = ok(coinbase("0.00"))
    market.exchanges.answers["kraken"] = http(503, "")
    market.exchanges.answers["coingecko"] = ok(coingecko(3000, age_seconds=121))
    assert await refused(market.board()) == (
        "No reliable ETH/USD price now (0 of 1 needed sources usable): coinbase: a price of zero; "
        "coingecko: stale (121 s old); kraken: answered with status 503. Try again."
    )


async def test_without_sources_no_pair_is_quoted(market: Market) -> None:
    with pytest.raises(UnsupportedAsset, match="No price source quotes ETH/USD"):
        await market.board_of([]).rate("ETH", "USD")


async def test_a_pair_with_fewer_sources_than_the_quorum_is_unsupported_rather_than_unavailable(market: Market) -> None:
    board = market.board("coinbase", "kraken", quorum=2)
    market.exchanges.answers["kraken"] = ok({"error": ["EQuery:Unknown asset pair"]})
    with pytest.raises(UnsupportedAsset, match="Only coinbase may quote ETH/USD, and 2 price sources must agree"):
        await board.rate("ETH", "USD")


async def test_a_token_is_called_as_its_contract_calls_it(market: Market) -> None:
    board = market.board_of([FixedSource({"USDC.e/EUR": Decimal("0.92")}, clock=market.clock)])
    assert (await board.rate("USDC.e", "EUR")).value == Decimal("0.92")
    with pytest.raises(UnsupportedAsset, match=r"No price source quotes axlUSDC/EUR"):
        await board.rate("axlUSDC", "EUR")


async def test_zero_stale_and_outlying_answers_do_not_spoil_the_rate(market: Market) -> None:
    board = market.board(reuse_seconds=0)
    for answer in (coingecko(0), coingecko(3000, age_seconds=500), coingecko(9000), coingecko(-3000)):
        market.exchanges.answers["coingecko"] = ok(answer)
        rate = await board.rate("ETH", "USD")
        assert rate.sources == ("coinbase", "kraken")
        assert Decimal("3000.10") <= rate.value <= Decimal("3000.20")


async def test_fewer_than_the_quorum_are_no_price(market: Market) -> None:
    market.exchanges.answers["coinbase"] = http(500, "")
    assert "2 of 3 needed" in await refused(market.board(quorum=3))


async def test_a_bug_in_one_source_leaves_the_others_their_say(market: Market) -> None:
    sources: list[Source] = [Broken(), FixedSource(TEST_PRICES, clock=market.clock)]
    board = market.board_of(sources)
    assert (await board.rate("ETH", "EUR")).value == Decimal(2760)
    assert state_of(board, "broken").failure(Pair("ETH", "EUR")) == "broke with TypeError"


async def test_closing_gives_up_the_questions_under_way(market: Market) -> None:
    market.exchanges.held.update(ALL)
    board = market.board()
    waiting = asyncio.create_task(refused(board))
    await market.exchanges.wait_for_requests(3)
    async with asyncio.timeout(WAIT_SECONDS):
        await board.close()
        assert "No reliable ETH/USD price" in await waiting


async def test_one_source_alone_does_not_move_the_rate_far_and_two_that_agree_do(market: Market) -> None:
    board = market.board("coinbase", "kraken")
    market.exchanges.answers["kraken"] = http(500, "")
    assert (await board.rate("ETH", "USD")).sources == ("coinbase",)
    market.exchanges.answers["coinbase"] = ok(coinbase("300000"))
    market.clock.advance(60)
    assert "300000 is far from the last rate" in await refused(board)
    assert list(board.jumps()) == ["ETH/USD"]
    market.exchanges.answers["kraken"] = ok(kraken("300100", "300100"))
    market.clock.advance(60)
    assert (await board.rate("ETH", "USD")).value == Decimal(300050)
    assert board.jumps() == {}


async def test_a_refused_jump_is_believed_once_the_last_rate_is_old_and_is_no_issue_then(market: Market) -> None:
    last = Rate("ETH", "USD", Decimal(3000), ("coinbase",), market.clock.now)
    board = market.board("coinbase", last=[last])
    market.exchanges.answers["coinbase"] = ok(coinbase("0.03"))
    await refused(board)
    assert list(board.jumps()) == ["ETH/USD"]
    market.clock.advance(3601)
    assert board.jumps() == {}
    assert (await board.rate("ETH", "USD")).value == Decimal("0.03")


async def test_where_a_lone_source_jumps_the_slow_other_one_is_waited_for(market: Market) -> None:
    last = Rate("ETH", "USD", Decimal(3000), ("coinbase",), market.clock.now)
    board = market.board("coinbase", "kraken", last=[last], patience_seconds=0)
    market.exchanges.answers["coinbase"] = ok(coinbase("6000"))
    market.exchanges.answers["kraken"] = ok(kraken("6001", "6001"))
    market.exchanges.held.add("kraken")
    asked = asyncio.create_task(board.rate("ETH", "USD"))
    await market.exchanges.wait_for_requests(2)
    await asyncio.sleep(0.05)
    assert not asked.done()
    market.exchanges.released.set()
    async with asyncio.timeout(WAIT_SECONDS):
        assert (await asked).value == Decimal("6000.5")

"""The peculiarities of each price source; `test_every_source` has the properties that all share."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import ProviderFailed, SourceFailed
from crypto_checkout.core.money import DECIMALS
from crypto_checkout.prices.chainlink import FEEDS, ChainlinkSource, PriceFeed, price_of
from crypto_checkout.prices.fixed import TEST_PRICES, FixedSource
from crypto_checkout.prices.http_source import number
from crypto_checkout.prices.source import Connections, ReadContract, Source, SourceThrottled, UnsupportedPair
from crypto_checkout.prices.sources import SOURCES
from tests.support.exchanges import (
    NOW,
    Clock,
    Exchanges,
    coingecko,
    connections_to,
    http,
    kraken,
    ok,
    open_exchanges,
    round_data,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def exchanges() -> AsyncIterator[Exchanges]:
    async with open_exchanges() as opened:
        yield opened


@pytest.fixture
async def source(exchanges: Exchanges) -> AsyncIterator[Callable[[str], Source]]:
    async with connections_to(exchanges.url, clock=Clock()) as connections:
        yield lambda name: SOURCES[name](connections)


Sources = Callable[[str], Source]


async def test_each_source_asks_for_the_pair_by_its_names(exchanges: Exchanges, source: Sources) -> None:
    for name in ("coinbase", "kraken", "coingecko"):
        with pytest.raises(SourceFailed):  # the answers are about ETH/USD
            await source(name).observe("POL", "EUR")
    assert exchanges.targets == [
        "/v2/prices/POL-EUR/spot",
        "/0/public/Ticker?pair=POLEUR",
        "/api/v3/simple/price?ids=polygon-ecosystem-token&vs_currencies=eur&include_last_updated_at=true&precision=full",
    ]


@pytest.mark.parametrize(("header", "seconds"), [("119", 119), ("999999", 3600), ("soon", 0), ("-5", 0), ("", 0)])
async def test_a_throttled_source_says_for_how_long(
    exchanges: Exchanges, source: Sources, header: str, seconds: int
) -> None:
    exchanges.answers["coingecko"] = http(429, "", f"Retry-After: {header}\r\n" if header else "")
    with pytest.raises(SourceThrottled) as caught:
        await source("coingecko").observe("ETH", "USD")
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("asked", "answer", "value"),
    [
        ("EURUSD", kraken("1.0002", "0.9998", "ZEURZUSD"), "1"),
        ("GBPUSD", kraken("1.25", "1.25", "ZGBPZUSD"), "0.8"),
        ("AUDUSD", kraken("0.66", "0.66", "AUDUSD"), "1.51515151515"),
        ("USDJPY", kraken("150.2", "150.0", "ZUSDZJPY"), "150.1"),
        ("USDCHF", kraken("0.88", "0.88", "USDCHF"), "0.88"),
    ],
)
async def test_krakens_fiat_markets_are_turned_the_right_way(
    exchanges: Exchanges, source: Sources, asked: str, answer: object, value: str
) -> None:
    exchanges.answers["kraken"] = ok(answer)
    assert (await source("kraken").observe("USD", asked.replace("USD", ""))).value == Decimal(value)
    assert exchanges.targets == [f"/0/public/Ticker?pair={asked}"]


async def test_kraken_has_no_fiat_market_for_every_currency(source: Sources) -> None:
    with pytest.raises(UnsupportedPair):
        await source("kraken").observe("USD", "SEK")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": ["EService:Unavailable"]}, "answered EService:Unavailable"),
        ({"error": ["EGeneral:<b>http://evil</b>"]}, "answered with an error"),
        ({"error": "EService:Unavailable"}, "answered with an error"),
        ({"error": ["EAPI:Rate limit exceeded"]}, "too many requests"),
        (kraken("3000", "3000", "XXBTZUSD"), "not about ETH/USD"),
        ({"error": [], "result": {}}, "not about ETH/USD"),
        ({"error": [], "result": {"XETHZUSD": {"a": [], "b": []}}}, "nothing in 'a'"),
        (kraken("0.0", "0.0"), "empty or crossed"),
        (kraken("2999", "3000"), "empty or crossed"),
        (kraken("3061", "3000"), "more than 2 % apart"),
    ],
)
async def test_krakens_answer_must_be_a_book_of_the_pair(
    exchanges: Exchanges, source: Sources, answer: object, reason: str
) -> None:
    exchanges.answers["kraken"] = ok(answer)
    with pytest.raises(SourceFailed, match=reason):
        await source("kraken").observe("ETH", "USD")


async def test_krakens_warnings_are_no_errors(exchanges: Exchanges, source: Sources) -> None:
    exchanges.answers["kraken"] = ok(kraken("3000", "3000") | {"error": ["WGeneral:Deprecated"]})
    assert (await source("kraken").observe("ETH", "USD")).value == 3000


@pytest.mark.parametrize("updated_at", [None, "1795426200", 1795426200000, 0, -1, 1795426200.5, True])
async def test_coingecko_must_say_when_its_price_was_made(
    exchanges: Exchanges, source: Sources, updated_at: object
) -> None:
    exchanges.answers["coingecko"] = ok({"ethereum": {"usd": 3000, "last_updated_at": updated_at}})
    with pytest.raises(SourceFailed, match="when it was made"):
        await source("coingecko").observe("ETH", "USD")


async def test_coingeckos_dollar_is_a_quotient_of_two_prices(exchanges: Exchanges, source: Sources) -> None:
    exchanges.answers["coingecko"] = ok(coingecko(3000, eur=2760))
    assert (await source("coingecko").observe("USD", "EUR")).value == Decimal("0.92")
    exchanges.answers["coingecko"] = ok(coingecko(0, eur=2760))
    with pytest.raises(SourceFailed, match="zero"):
        await source("coingecko").observe("USD", "EUR")


@pytest.mark.parametrize(
    ("paid", "roots"),
    [
        (False, ["api.coingecko.com demo", "api.coingecko.com demo"]),
        (True, ["api.coingecko.com demo", "pro-api.coingecko.com pro", "pro-api.coingecko.com pro"]),
    ],
)
async def test_coingecko_is_given_the_key_in_the_way_of_its_plan(paid: bool, roots: list[str]) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        plan = "pro" if "x-cg-pro-api-key" in request.headers else "demo"
        assert request.headers[f"x-cg-{plan}-api-key"] == "CG-key"
        asked.append(f"{request.url.host} {plan}")
        if paid and plan == "demo":
            return httpx.Response(400, stream=httpx.ByteStream(b'{"error_code": 10010, "status": {}}'))
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(coingecko(3000)).encode()))

    async with connections_to("http://unused.example", clock=Clock()) as usual:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        opened = SOURCES["coingecko"](replace(usual, client=client, coingecko_api_key="CG-key"))
        for _ in range(2):
            assert (await opened.observe("ETH", "USD")).value == Decimal(3000)
    assert asked == roots
    assert "CG-key" not in repr(replace(usual, coingecko_api_key="CG-key"))


async def test_coingecko_says_which_setting_it_misses(exchanges: Exchanges, source: Sources) -> None:
    exchanges.answers["coingecko"] = http(401, '{"status":{"error_code":10002}}')
    with pytest.raises(SourceFailed, match=r"status 401: set \[prices\] coingecko_api_key"):
        await source("coingecko").observe("ETH", "USD")


async def test_a_price_keeps_every_digit_it_was_sent_with(exchanges: Exchanges, source: Sources) -> None:
    exchanges.answers["coingecko"] = http(
        200, '{"ethereum":{"usd":3000.123456789012345678,"last_updated_at":1795426200}}'
    )
    assert (await source("coingecko").observe("ETH", "USD")).value == Decimal("3000.123456789012345678")


@given(st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.integers(), st.decimals(), st.lists(st.text())))
def test_whatever_stands_for_a_price_is_a_number_or_a_failure(value: object) -> None:
    try:
        read = number(value)
    except SourceFailed:
        return
    assert read.is_finite()
    assert read == Decimal(str(value))


# Chainlink: words of 32 bytes, as `eth_call` returns them.

MAINNET = FEEDS["ETH/USD"][0]


def chainlink(read: ReadContract, *chain_ids: int) -> ChainlinkSource:
    no_web = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    return ChainlinkSource(Connections(no_web, read, chain_ids, Clock()))


async def test_chainlink_reads_the_first_configured_feed() -> None:
    calls: list[tuple[int, str, str]] = []

    async def read(chain_id: int, address: str, data: str) -> bytes:
        calls.append((chain_id, address, data))
        return round_data(age=3599)

    source = chainlink(read, 8453, 1)
    assert await source.observe("ETH", "USD") == Observation("chainlink", Decimal("3000.12"), NOW)
    assert calls == [(1, "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419", "0xfeaf968c")]


async def test_chainlink_goes_on_to_the_next_chain() -> None:
    async def read(chain_id: int, _address: str, _data: str) -> bytes:
        if chain_id == 1:
            raise ProviderFailed("https://rpc.example/secret-key: status 500")
        return round_data() if chain_id == 10 else b""

    source = chainlink(read, 1, 8453, 10)
    assert (await source.observe("ETH", "USD")).value == Decimal("3000.12")
    with pytest.raises(SourceFailed) as caught:
        await chainlink(read, 1, 8453).observe("ETH", "USD")
    assert str(caught.value) == "chain 1 can't be read; chain 8453: no price feed answers at its address"


@pytest.mark.parametrize("pair", [("ETH", "EUR"), ("USD", "EUR"), ("BNB", "USD"), ("DOGE", "USD")])
async def test_chainlink_quotes_only_what_a_configured_chain_has(pair: tuple[str, str]) -> None:
    async def read(*_: object) -> bytes:
        raise AssertionError("nothing is to be read")

    with pytest.raises(UnsupportedPair):
        await chainlink(read, 1, 1337).observe(*pair)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "no price feed"),
        (round_data()[:-1], "no price feed"),
        (round_data() + bytes(32), "no price feed"),
        (round_data(0), "zero or negative"),
        (round_data(-1), "zero or negative"),
        (round_data(round_id=8), "not complete"),
        (round_data(round_id=0), "not complete"),
        (round_data(age=int(NOW.timestamp())), "not complete"),
        (round_data(age=-16), "from the future"),
        (b"".join(word.to_bytes(32) for word in (7, 1, 1, 2**256 - 1, 7)), "from the future"),
        (round_data(age=3901), "silent for 3901 s"),
    ],
)
def test_a_round_that_is_no_evidence_is_refused(answer: bytes, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason):
        price_of(answer, MAINNET, now=NOW)


def test_a_feed_may_be_silent_for_its_heartbeat_and_a_margin_but_never_for_a_day() -> None:
    assert price_of(round_data(age=3900), MAINNET, now=NOW) == Decimal("3000.12")
    assert price_of(round_data(age=1500), PriceFeed(8453, "0x", 1200), now=NOW) == Decimal("3000.12")
    for feed, age in ((PriceFeed(8453, "0x", 1200), 1501), (PriceFeed(42161, "0x", 86400), 3901)):
        with pytest.raises(SourceFailed, match="silent"):
            price_of(round_data(age=age), feed, now=NOW)


async def test_the_fixed_source_answers_from_its_table_now() -> None:
    clock = Clock()
    source = FixedSource({"ETH/USD": Decimal("3000.00")}, clock=clock)
    clock.advance(10_000)
    assert await source.observe("ETH", "USD") == Observation("fixed", Decimal("3000.00"), clock.now)
    with pytest.raises(UnsupportedPair):
        await source.observe("ETH", "EUR")


def test_the_test_prices_are_positive_and_in_real_currencies() -> None:
    assert TEST_PRICES["ETH/USD"] == 3000
    assert TEST_PRICES["USD/EUR"] == Decimal("0.92")
    assert all(value > 0 and pair.split("/")[1] in DECIMALS for pair, value in TEST_PRICES.items())

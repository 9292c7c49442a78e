"""The price sources against servers that answer in their shapes, rightly and wrongly."""

import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import ProviderFailed, SourceFailed
from crypto_checkout.core.money import DECIMALS
from crypto_checkout.prices.chainlink import FEEDS, ChainlinkSource, PriceFeed, price_of
from crypto_checkout.prices.coinbase import CoinbaseSource
from crypto_checkout.prices.coingecko import CoinGeckoSource
from crypto_checkout.prices.fixed import TEST_PRICES, FixedSource
from crypto_checkout.prices.kraken import KrakenSource
from crypto_checkout.prices.source import MAX_ANSWER_BYTES, Source, SourceThrottled, UnsupportedPair, number
from tests.support.exchanges import NOW, Clock, Exchanges, coinbase, coingecko, http, kraken, ok, open_exchanges

pytestmark = pytest.mark.anyio

KINDS: dict[str, type[CoinbaseSource | KrakenSource | CoinGeckoSource]] = {
    "coinbase": CoinbaseSource,
    "kraken": KrakenSource,
    "coingecko": CoinGeckoSource,
}


@pytest.fixture
async def exchanges() -> AsyncIterator[Exchanges]:
    async with open_exchanges() as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as opened:
        yield opened


@pytest.fixture
def source(exchanges: Exchanges, client: httpx.AsyncClient) -> Callable[[str], Source]:
    return lambda name: KINDS[name](client, clock=Clock(), base_url=exchanges.url)


Sources = Callable[[str], Source]


async def test_each_source_reads_its_exchange(source: Sources) -> None:
    assert await source("coinbase").observe("ETH", "USD") == Observation("coinbase", Decimal("3000.10"), NOW)
    assert await source("kraken").observe("ETH", "USD") == Observation("kraken", Decimal("3000.20"), NOW)
    made_at = NOW - timedelta(seconds=30)
    assert await source("coingecko").observe("ETH", "USD") == Observation("coingecko", Decimal("3000.15"), made_at)


async def test_each_source_asks_for_the_pair_by_its_names(exchanges: Exchanges, source: Sources) -> None:
    for name in KINDS:
        with pytest.raises(SourceFailed):  # the answers are about ETH/USD
            await source(name).observe("POL", "EUR")
    assert exchanges.targets == [
        "/v2/prices/POL-EUR/spot",
        "/0/public/Ticker?pair=POLEUR",
        "/api/v3/simple/price?ids=polygon-ecosystem-token&vs_currencies=eur&include_last_updated_at=true&precision=full",
    ]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(500, "oops"), "answered with status 500"),
        (http(404, "<html>"), "answered with status 404"),
        (http(302, "", "Location: http://127.0.0.1:1/\r\n"), "answered with status 302"),
        (http(200, ""), "not JSON"),
        (http(200, "<html>no</html>"), "not JSON"),
        (http(200, b"\xff\xfe\xfd"), "not JSON"),
        (http(200, '{"data": NaN}'), "not JSON"),
        (http(200, '{"data": 1e99999999999999999999}'), "not JSON"),
        (http(200, "[" * 60_000), "not JSON"),
        (http(200, '{"data": ' + "9" * 60_000 + "}"), "not JSON"),
        (http(200, "[]"), "the answer has no"),
        (http(200, "{}"), "the answer has no"),
        (http(200, "null"), "the answer has no"),
        (http(200, " " * (MAX_ANSWER_BYTES + 1)), "larger than 64 KiB"),
        (http(200, "{}", "Content-Encoding: gzip\r\n"), "compressed"),
        (http(429, "slow down"), "too many requests"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "can't be reached"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "can't be reached"),
        (b"", "can't be reached"),
    ],
)
async def test_a_bad_answer_is_a_failure_with_a_plain_reason(
    exchanges: Exchanges, source: Sources, name: str, answer: bytes, reason: str
) -> None:
    exchanges.answers[name] = answer
    with pytest.raises(SourceFailed, match=reason) as caught:
        await source(name).observe("ETH", "USD")
    assert not isinstance(caught.value, UnsupportedPair)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("name", KINDS)
async def test_a_slow_source_is_given_up(exchanges: Exchanges, client: httpx.AsyncClient, name: str) -> None:
    exchanges.held.add(name)
    slow = KINDS[name](client, clock=Clock(), base_url=exchanges.url, timeout_seconds=0.05)
    with pytest.raises(SourceFailed, match=r"no answer within 0\.05 s"):
        await slow.observe("ETH", "USD")


@pytest.mark.parametrize("name", KINDS)
async def test_an_absent_source_is_a_failure(client: httpx.AsyncClient, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        absent = KINDS[name](client, clock=Clock(), base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(SourceFailed, match=r"can't be reached \(ConnectError\)"):
            await absent.observe("ETH", "USD")


@pytest.mark.parametrize(("header", "seconds"), [("119", 119), ("999999", 3600), ("soon", 0), ("-5", 0), ("", 0)])
async def test_a_throttled_source_says_for_how_long(
    exchanges: Exchanges, source: Sources, header: str, seconds: int
) -> None:
    exchanges.answers["coingecko"] = http(429, "", f"Retry-After: {header}\r\n" if header else "")
    with pytest.raises(SourceThrottled) as caught:
        await source("coingecko").observe("ETH", "USD")
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize("name", KINDS)
async def test_an_unknown_coin_is_an_unsupported_pair_and_nobody_is_asked(
    exchanges: Exchanges, source: Sources, name: str
) -> None:
    with pytest.raises(UnsupportedPair):
        await source(name).observe("DOGE", "USD")
    assert exchanges.targets == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("coinbase", http(404, '{"errors":[{"id":"not_found","message":"Invalid base currency"}]}')),
        ("coinbase", http(400, '{"errors":[{"id":"invalid_request","message":"Invalid currency (SLE)"}]}')),
        ("kraken", ok({"error": ["EQuery:Unknown asset pair"]})),
        ("coingecko", http(200, '{"ethereum":{"last_updated_at":1795426200}}')),
        ("coingecko", http(200, '{"ethereum":{}}')),
    ],
)
async def test_an_unknown_currency_is_an_unsupported_pair(
    exchanges: Exchanges, source: Sources, name: str, answer: bytes
) -> None:
    exchanges.answers[name] = answer
    with pytest.raises(UnsupportedPair, match="does not quote ETH/SLE"):
        await source(name).observe("ETH", "SLE")


@pytest.mark.parametrize(
    "answer",
    [
        coinbase("3000", base="BTC"),
        coinbase("3000", currency="EUR"),
        coinbase(""),
        coinbase("3000 USD"),
        coinbase("0x10"),
        coinbase("3" * 21),
        {"data": {"amount": None, "base": "ETH", "currency": "USD"}},
        {"data": {"amount": True, "base": "ETH", "currency": "USD"}},
        {"data": {"amount": ["3000"], "base": "ETH", "currency": "USD"}},
        {"data": []},
    ],
)
async def test_coinbases_answer_must_be_a_number_about_the_pair(
    exchanges: Exchanges, source: Sources, answer: object
) -> None:
    exchanges.answers["coinbase"] = ok(answer)
    with pytest.raises(SourceFailed):
        await source("coinbase").observe("ETH", "USD")


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


def round_data(price: int = 300_012_000_000, *, age: int = 60, round_id: int = 7, answered_in: int = 7) -> bytes:
    updated_at = int(NOW.timestamp()) - age
    words = (round_id, price % 2**256, updated_at, updated_at, answered_in)
    return b"".join(word.to_bytes(32) for word in words)


async def test_chainlink_reads_the_first_configured_feed() -> None:
    calls: list[tuple[int, str, str]] = []

    async def read(chain_id: int, address: str, data: str) -> bytes:
        calls.append((chain_id, address, data))
        return round_data(age=3599)

    source = ChainlinkSource(read, chain_ids=[8453, 1], clock=Clock())
    assert await source.observe("ETH", "USD") == Observation("chainlink", Decimal("3000.12"), NOW)
    assert calls == [(1, "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419", "0xfeaf968c")]


async def test_chainlink_goes_on_to_the_next_chain() -> None:
    async def read(chain_id: int, _address: str, _data: str) -> bytes:
        if chain_id == 1:
            raise ProviderFailed("https://rpc.example/secret-key: status 500")
        return round_data() if chain_id == 10 else b""

    source = ChainlinkSource(read, chain_ids=[1, 8453, 10], clock=Clock())
    assert (await source.observe("ETH", "USD")).value == Decimal("3000.12")
    with pytest.raises(SourceFailed) as caught:
        await ChainlinkSource(read, chain_ids=[1, 8453], clock=Clock()).observe("ETH", "USD")
    assert str(caught.value) == "chain 1 can't be read; chain 8453: no price feed answers at its address"


@pytest.mark.parametrize("pair", [("ETH", "EUR"), ("USD", "EUR"), ("BNB", "USD"), ("DOGE", "USD")])
async def test_chainlink_quotes_only_what_a_configured_chain_has(pair: tuple[str, str]) -> None:
    async def read(*_: object) -> bytes:
        raise AssertionError("nothing is to be read")

    with pytest.raises(UnsupportedPair):
        await ChainlinkSource(read, chain_ids=[1, 1337], clock=Clock()).observe(*pair)


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

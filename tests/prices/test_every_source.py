"""Each price source of the table, opened as in production, against a server that answers rightly and wrongly."""

import socket
from collections.abc import AsyncIterator

import pytest

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.prices.http_source import MAX_ANSWER_BYTES, HttpSource
from crypto_checkout.prices.source import UnsupportedPair
from crypto_checkout.prices.sources import SOURCES
from tests.support.exchanges import EXCHANGES, Clock, Exchange, Exchanges, connections_to, http, open_exchanges

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("name", SOURCES)]


@pytest.fixture
def exchange(name: str) -> Exchange:
    if name not in EXCHANGES:
        pytest.fail(f"crypto_checkout/prices/sources.py lists {name}: record its answers in tests/support/exchanges.py")
    return EXCHANGES[name]


@pytest.fixture
async def exchanges(exchange: Exchange) -> AsyncIterator[Exchanges]:
    assert exchange.unsupported, "record an answer about a currency that it does not know"
    assert exchange.wrong, "record a well-formed answer without a price"
    async with open_exchanges() as opened:
        yield opened


async def observe(url: str, name: str, base: str = "ETH", quote: str = "USD", **options: float) -> Observation:
    async with connections_to(url, clock=Clock(), **options) as connections:
        return await SOURCES[name](connections).observe(base, quote)


async def test_it_reads_its_exchange(name: str, exchange: Exchange, exchanges: Exchanges) -> None:
    assert await observe(exchanges.url, name) == Observation(name, exchange.price, exchange.observed_at)
    assert exchanges.count(name) == len(exchanges.targets) == 1


async def test_a_well_formed_answer_without_the_price_is_a_failure(
    name: str, exchange: Exchange, exchanges: Exchanges
) -> None:
    for answer in exchange.wrong:
        exchanges.answers[name] = answer
        with pytest.raises(SourceFailed) as caught:
            await observe(exchanges.url, name)
        assert not isinstance(caught.value, UnsupportedPair), answer


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
    exchanges: Exchanges, name: str, answer: bytes, reason: str
) -> None:
    exchanges.answers[name] = answer
    with pytest.raises(SourceFailed) as caught:
        await observe(exchanges.url, name)
    assert not isinstance(caught.value, UnsupportedPair)
    assert "127.0.0.1" not in str(caught.value)
    kind = SOURCES[name]
    if isinstance(kind, type) and issubclass(kind, HttpSource):
        assert reason in str(caught.value)


async def test_a_slow_exchange_is_given_up(exchanges: Exchanges, name: str) -> None:
    exchanges.held.add(name)
    with pytest.raises(SourceFailed, match=r"no answer within 0\.05 s"):
        await observe(exchanges.url, name, timeout_seconds=0.05)


@pytest.mark.usefixtures("exchange")
async def test_an_absent_exchange_is_a_failure(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        with pytest.raises(SourceFailed, match="can't be re"):
            await observe(f"http://127.0.0.1:{taken.getsockname()[1]}", name)


async def test_an_unknown_coin_is_an_unsupported_pair_without_a_request(exchanges: Exchanges, name: str) -> None:
    with pytest.raises(UnsupportedPair):
        await observe(exchanges.url, name, "DOGE", "USD")
    assert exchanges.targets == []


async def test_an_unknown_currency_is_an_unsupported_pair(exchange: Exchange, exchanges: Exchanges, name: str) -> None:
    for answer in exchange.unsupported:
        exchanges.answers[name] = answer
        with pytest.raises(UnsupportedPair, match="ETH/SLE"):
            await observe(exchanges.url, name, "ETH", "SLE")

"""Providers that fail now and then, limit the pace, or keep silent: calls get through, and none is asked too often."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from crypto_checkout.chain.rpc.providers import Ask, NodeEndpoint, Rpc
from crypto_checkout.core.errors import ProviderFailed
from tests.chain.rpc.test_providers import CHAIN_ID, RESULTS, SECOND, SECRET, Clock, echoes, failure_of, rpc_to
from tests.support.nodes import Behaviour, Error, Node, answering, batch, call, hanging, http, running, saying
from tests.support.waiting import WAIT_SECONDS


class MovingClock(Clock):
    """Sleeping moves it."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.now += seconds


def by_turns(*behaviours: Behaviour) -> Behaviour:
    """Behave like each of these in turn, then for good like the last."""
    left = [*behaviours]

    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(body, writer)

    return behave


honest = answering(RESULTS)


def refusal(code: int, message: str = "slow down") -> Behaviour:
    return answering({**RESULTS, "who": Error(message, code), "eth_chainId": "0x1"})


# Failures that pass

PASSING = {
    "429": saying(http("", 429)),
    "503": saying(http("", 503)),
    "500": saying(http("oops", 500)),
    "502": saying(http("<html>", 502)),
    "408": saying(http("", 408)),
    "a page": saying(http("<html>busy</html>")),
    "half an answer": saying(http('{"jsonrpc"')),
    "no list": saying(http("null")),
    **{f"code {code}": refusal(code) for code in (429, -32005, -32007, -32011, -32016, -32097, -32029)},
    "words": refusal(-32000, "Too Many Requests, retry later"),
    "a plan's words": refusal(-32603, "Your app has exceeded its compute units per second capacity"),
    "a page of a guard": saying(http('{"message":"rate limit"}', 403)),
    "an error with 500": saying(http('{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"x"}}', 500)),
}


@pytest.mark.parametrize("failing", PASSING.values(), ids=PASSING)
async def test_what_passes_is_asked_again_soon_and_the_provider_is_not_blamed(failing: Behaviour) -> None:
    clock = Clock()
    async with running(honest) as node, rpc_to(node.url, clock=clock) as rpc:
        await call(rpc, "echo", [1])
        node.behave = by_turns(failing, failing, honest)
        assert await call(rpc, "who", []) == "first"
        assert rpc.providers[0].failures == 0
        assert len(clock.slept) == 2
        assert sum(clock.slept) < 1


async def test_one_that_goes_on_failing_is_given_up_after_a_few_tries() -> None:
    async with running(saying(http("", 500))) as node, rpc_to(node.url) as rpc:
        await failure_of(rpc)
        assert len(node.bodies) == 10
    async with (
        running(saying(http("", 500))) as node,
        running(answering(SECOND)) as other,
        rpc_to(node.url, other.url) as rpc,
    ):
        assert await call(rpc, "who", []) == "second"
        assert len(node.bodies) == 4, "fewer where another one can be asked"


FINAL = {
    "HTTP 401": saying(http("", 401)),
    "HTTP 402": saying(http("", 402)),
    "HTTP 403": saying(http("", 403)),
    "HTTP 404": saying(http("", 404)),
    "an error": refusal(-32000, "header not found"),
    "a revert": refusal(3, "execution reverted: rate limit"),
    "an error with 400": saying(http('{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"bad"}}', 400)),
}


@pytest.mark.parametrize("failing", FINAL.values(), ids=FINAL)
async def test_what_stays_is_not_asked_again(failing: Behaviour) -> None:
    async with running(honest) as node, rpc_to(node.url) as rpc:
        await call(rpc, "echo", [1])
        node.behave = failing
        node.forget()
        await failure_of(rpc)
        assert len(node.bodies) == 1


async def test_an_answer_that_does_not_come_in_time_is_not_asked_for_again() -> None:
    async with running(hanging) as node, rpc_to(node.url, timeout_seconds=0.1) as rpc:
        assert "no answer in time" in str(await failure_of(rpc))
        assert len(node.bodies) <= 1  # none, if the machine took longer to send it
        assert rpc.providers[0].paused_until - 1000 == 60


async def test_logs_that_are_too_many_are_no_matter_of_pace() -> None:
    for words in ("query returned more than 10000 results", "limit exceeded", "block range limit exceeded"):
        results = {**RESULTS, "eth_getLogs": Error(words, -32005)}
        async with running(answering(results)) as node, rpc_to(node.url) as rpc:
            assert f"refused: {words}" in str(await failure_of(rpc, "eth_getLogs"))
            assert node.methods.count("eth_getLogs") == 1


async def test_what_a_batch_answered_is_kept_and_only_the_rest_asked_again() -> None:
    refused = {3, 5}

    def moody(number: int) -> Any:
        if number in refused:
            refused.remove(number)
            return Error("too many requests", 429)
        return number

    async with running(answering({**RESULTS, "moody": moody})) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, [("moody", [number]) for number in range(8)]) == list(range(8))
        assert node.sizes == [0, 8, 2]


@pytest.mark.parametrize("share", [0.3, 0.5])
async def test_calls_get_through_one_provider_that_fails_a_share_of_its_requests(share: float) -> None:
    chance = random.Random(7)
    failing = [saying(http("", 429)), saying(http("", 500)), saying(http("<html>"))]

    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        await (chance.choice(failing) if chance.random() < share else honest)(body, writer)

    clock = MovingClock()
    async with running(behave) as node, rpc_to(node.url, clock=clock) as rpc:
        through = 0
        for _ in range(20):
            with suppress(ProviderFailed):
                assert await batch(rpc, echoes(30)) == list(range(30))
                through += 1
        assert through >= 18
        assert clock.now - 1000 < 20 * 10


# The pace


class Limit:
    """A node whose plan counts each call of a batch: so many a second, and a batch too many is refused whole."""

    def __init__(self, calls_a_second: int, clock: Callable[[], float], raw: bytes) -> None:
        self.refused = 0
        self._limit = calls_a_second
        self._clock = clock
        self._raw = raw
        self._taken: list[float] = []

    async def __call__(self, body: Any, writer: asyncio.StreamWriter) -> None:
        calls = body if isinstance(body, list) else [body]
        now = self._clock()
        self._taken = [each for each in self._taken if each > now - 1]
        if len(self._taken) + len(calls) > self._limit:
            self.refused += 1
            writer.write(self._raw)
            return
        self._taken += [now] * len(calls)
        await honest(body, writer)


@pytest.mark.parametrize("limit", [5, 10, 15, 50])
@pytest.mark.parametrize(
    "raw",
    [http("slow down", 429), http('{"jsonrpc":"2.0","id":null,"error":{"code":-32007,"message":"limit reached"}}')],
    ids=["429", "-32007"],
)
async def test_batches_get_through_a_plan_that_counts_each_call(limit: int, raw: bytes) -> None:
    clock = MovingClock()
    plan = Limit(limit, clock, raw)
    async with running(plan) as node, rpc_to(node.url, clock=clock) as rpc:
        assert await batch(rpc, echoes(100)) == list(range(100))
        plan.refused, began = 0, clock.now
        assert await batch(rpc, echoes(200)) == list(range(200))
        assert clock.now - began < 3 * 200 / limit, "the pace is near the plan's"
        assert plan.refused < len(node.bodies) / 2, "most requests aren't wasted"
        assert rpc.providers[0].failures == 0


async def test_calls_that_come_one_by_one_keep_the_learned_pace() -> None:
    clock = MovingClock()
    plan = Limit(10, clock, http("slow down", 429))
    async with running(plan) as node, rpc_to(node.url, clock=clock) as rpc:
        await batch(rpc, echoes(50))
        for number in range(50):
            assert await call(rpc, "echo", [number]) == number
        assert rpc.providers[0].failures == 0


async def test_a_provider_that_was_never_busy_is_asked_without_any_pause() -> None:
    clock = Clock()
    async with running(honest) as node, rpc_to(node.url, clock=clock) as rpc:
        for _ in range(20):
            await batch(rpc, echoes(100))
        assert clock.slept == []


# Being left alone


@pytest.mark.parametrize("kind", ["seconds", "date"])
async def test_a_single_provider_is_left_alone_for_as_long_as_it_asks(kind: str) -> None:
    # The date passes by the real clock: minutes, so that a machine may be busy meanwhile.
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    wait = {"seconds": "600", "date": date}[kind]
    clock = Clock()
    async with running(saying(http("", 429, f"Retry-After: {wait}\r\n"))) as node, rpc_to(node.url, clock=clock) as rpc:
        await failure_of(rpc)
        assert len(node.bodies) == 1
        node.behave = honest
        clock.now += 500
        error = await failure_of(rpc)
        assert "asked to be left alone" in str(error)
        assert error.cause == "its nodes limit the number of requests"
        assert len(node.bodies) == 1
        assert rpc.providers[0].failures == 1
        clock.now += 101
        assert await call(rpc, "who", []) == "first"


async def test_a_short_pause_that_a_provider_asks_for_is_waited_out() -> None:
    clock = MovingClock()
    busy = saying(http("", 503, "Retry-After: 2\r\n"))
    async with running(by_turns(busy, honest)) as node, rpc_to(node.url, clock=clock) as rpc:
        assert await call(rpc, "who", []) == "first"
        assert clock.now - 1000 >= 2


# Silence


HEDGE_SECONDS = 0.02


@asynccontextmanager
async def hedged(first: Behaviour, second: Behaviour) -> AsyncIterator[tuple[Rpc, Node, Node, Clock]]:
    """Two providers, of which the second is asked only when the clock is moved by as long as one may be silent."""
    async with running(first) as one, running(second) as other:
        clock, urls = Clock(), [one.url, other.url]
        rpc = Rpc(
            CHAIN_ID, urls, clock=clock, hedge_seconds=HEDGE_SECONDS, timeout_seconds=WAIT_SECONDS, jitter=lambda: 0
        )
        try:
            yield rpc, one, other, clock
        finally:
            await rpc.close()


async def second_answer(rpc: Rpc, first: Node, clock: Clock) -> Any:
    """Return what is answered when the first provider keeps silent."""
    asking = asyncio.ensure_future(call(rpc, "who", []))
    await first.wait_for_requests(1)
    clock.now += 1
    return await asking


async def test_beside_a_silent_provider_the_next_one_is_asked_and_the_silent_one_rests_a_minute() -> None:
    async with hedged(hanging, answering(SECOND)) as (rpc, first, _, clock):
        assert await second_answer(rpc, first, clock) == "second"
        provider = rpc.providers[0]
        assert provider.failures == 1
        assert provider.paused_until - clock.now == 60
        assert "while another provider gave one" in str(provider.last_error)
        first.forget()
        assert await call(rpc, "who", []) == "second"
        assert first.bodies == []


async def test_many_reads_that_a_silence_holds_up_blame_it_once() -> None:
    async with hedged(hanging, answering(SECOND)) as (rpc, first, _, clock):
        asking = asyncio.gather(*(call(rpc, "who", []) for _ in range(10)))
        await first.wait_for_requests(10)
        clock.now += 1
        assert await asking == ["second"] * 10
        assert rpc.providers[0].failures == 1
        assert rpc.providers[1].failures == 0


async def test_a_slow_provider_whose_answer_comes_first_after_all_is_not_blamed() -> None:
    is_asked = asyncio.Event()

    async def slow(body: Any, writer: asyncio.StreamWriter) -> None:
        await is_asked.wait()
        await honest(body, writer)

    async def later(body: Any, writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await hanging(body, writer)

    async with hedged(slow, later) as (rpc, first, _, clock):
        assert await second_answer(rpc, first, clock) == "first"
        assert [each.failures for each in rpc.providers] == [0, 0]


async def test_while_both_are_silent_the_first_answer_counts() -> None:
    async with hedged(hanging, hanging) as (rpc, first, second, clock):
        asking = asyncio.create_task(call(rpc, "who", []))
        await first.wait_for_requests(1)
        clock.now += 1
        await second.wait_for_requests(1)
        assert not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert [each.failures for each in rpc.providers] == [0, 0]


async def test_a_reader_that_takes_its_time_is_no_silence() -> None:
    async def read(ask: Ask) -> str:
        (answer,) = await ask([("who", [])])
        clock.now += 60
        await asyncio.sleep(3 * HEDGE_SECONDS)  # so that silence would be noticed
        return str(answer)

    async with hedged(honest, answering(SECOND)) as (rpc, _, second, clock):
        assert await rpc.with_failover(read) == "first"
        assert second.bodies == []


# What they say


async def test_the_words_of_a_refusal_are_shown_without_keys() -> None:
    body = json.dumps({"error": {"message": f"Monthly credit? No: project {SECRET} has no plan"}})
    for status in (402, 403):
        denying = saying(http(body, status))
        async with running(denying, path=f"/{SECRET}") as node, rpc_to(node.url) as rpc:
            error = await failure_of(rpc)
        assert f"HTTP {status}: Monthly credit? No: project … has no plan" in str(error)
        assert error.cause == "its nodes refuse access: the key, or its plan"


async def test_a_page_in_a_refusal_is_not_shown() -> None:
    async with running(saying(http("<html>Forbidden</html>", 403))) as node, rpc_to(node.url) as rpc:
        assert str(await failure_of(rpc)).endswith(": HTTP 403")


async def test_headers_go_with_each_request_and_are_told_to_nobody() -> None:
    heads: list[str] = []
    async with running(answering({"eth_chainId": Error(f"unknown key {SECRET}")})) as node:
        node.heard = heads.append
        async with rpc_to(NodeEndpoint(node.url, {"Authorization": f"Bearer {SECRET}"})) as rpc:
            error = await failure_of(rpc)
            assert f"Bearer {SECRET}" in heads[0]
            for text in (str(error), repr(rpc.providers), str(rpc.providers[0].last_error)):
                assert SECRET not in text


async def test_ids_as_texts_are_taken() -> None:
    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        calls = body if isinstance(body, list) else [body]
        answers = [{"id": str(each["id"]), "result": RESULTS.get(each["method"], 1)} for each in calls]
        answers = [{**each, "result": 1} if callable(each["result"]) else each for each in answers]
        writer.write(http(json.dumps(answers[::-1] if isinstance(body, list) else answers[0])))

    async with running(behave) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "who", []) == "first"
        assert await batch(rpc, [("who", []), ("echo", [1])]) == ["first", 1]
        assert node.sizes[-1] == 2


CAUSES = {
    "its nodes can't be reached": None,
    "its nodes don't answer in time": hanging,
    "its nodes serve another chain": answering({"eth_chainId": "0x5"}),
    "its nodes refuse calls that are needed": answering({}),
    "its nodes limit the number of requests": saying(http("", 429)),
}


@pytest.mark.parametrize(("cause", "behave"), CAUSES.items(), ids=CAUSES)
async def test_the_cause_of_a_failure_names_no_host(cause: str, behave: Behaviour | None) -> None:
    async with running(behave or honest) as node:
        url = node.url if behave else "http://127.0.0.1:1"
        async with rpc_to(url, timeout_seconds=0.2 if behave is hanging else WAIT_SECONDS) as rpc:
            with pytest.raises(ProviderFailed) as caught:
                await call(rpc, "who", [])
    assert caught.value.cause == cause


async def test_a_request_of_megabytes_is_sent_whole() -> None:
    """aiohttp warns of such bodies, which is an error here."""
    large = "x" * 3_000_000
    async with running(honest) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "who", [large]) == RESULTS["who"]
        assert node.bodies[-1]["params"] == [large]

"""Providers on this machine, honest and otherwise. Whatever they say, what comes back is right or there is an error."""

import asyncio
import logging
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.chain.rpc.answers import MOST_BYTES
from crypto_checkout.chain.rpc.providers import MOST_CALLS, Ask, NodeEndpoint, Rpc, quantity
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from tests.support.nodes import (
    Behaviour,
    Error,
    Node,
    answering,
    batch,
    breaking_off,
    call,
    changing,
    closing,
    dripping,
    flooding,
    hanging,
    hanging_up,
    http,
    refusing_batches,
    running,
    saying,
)
from tests.support.ports import free_port
from tests.support.waiting import WAIT_SECONDS

CHAIN_ID = 1
RESULTS: dict[str, Any] = {"eth_chainId": "0x1", "echo": lambda value: value, "who": "first"}
SECOND = {**RESULTS, "who": "second"}
SECRET = "abcdef0123456789SECRET"


class Clock:
    """Stands still until it is moved; nobody really sleeps by it, and pauses are noted in `slept`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def rpc_to(
    *endpoints: str | NodeEndpoint, clock: Clock | None = None, timeout_seconds: float = WAIT_SECONDS
) -> AsyncIterator[Rpc]:
    clock = clock or Clock()
    rpc = Rpc(CHAIN_ID, endpoints, clock=clock, timeout_seconds=timeout_seconds, jitter=lambda: 0, sleep=clock.sleep)
    try:
        yield rpc
    finally:
        await rpc.close()


@asynccontextmanager
async def two(
    first: Behaviour, *, timeout_seconds: float = WAIT_SECONDS
) -> AsyncIterator[tuple[Rpc, Node, Node, Clock]]:
    """An rpc to a first provider that behaves like this and to a second that is honest."""
    clock = Clock()
    async with (
        running(first) as one,
        running(answering(SECOND)) as other,
        rpc_to(one.url, other.url, clock=clock, timeout_seconds=timeout_seconds) as rpc,
    ):
        yield rpc, one, other, clock


def echoes(count: int) -> list[tuple[str, list[Any]]]:
    return [("echo", [number]) for number in range(count)]


async def failure_of(rpc: Rpc, method: str = "who") -> ProviderFailed:
    with pytest.raises(ProviderFailed) as caught:
        await call(rpc, method, [])
    return caught.value


# What comes back


async def test_a_call_returns_the_result() -> None:
    async with running(answering(RESULTS)) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "echo", ["0x10"]) == "0x10"


async def test_an_error_of_null_beside_the_result_is_none() -> None:
    tolerant = changing(RESULTS, lambda answer: {**answer, "error": None})
    async with running(tolerant) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "who", []) == "first"


async def test_a_result_of_null_is_a_result() -> None:
    async with running(answering(RESULTS)) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "echo", [None]) is None


async def test_the_results_of_a_batch_are_in_the_order_of_its_calls_whatever_order_they_come_in() -> None:
    reversing = changing(RESULTS, lambda answer: answer[::-1] if isinstance(answer, list) else answer)
    async with running(reversing) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, echoes(7)) == list(range(7))
    assert node.sizes == [0, 7]


async def test_many_calls_go_in_requests_of_a_hundred() -> None:
    async with running(answering(RESULTS)) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, echoes(250)) == list(range(250))
    assert node.sizes == [0, MOST_CALLS, MOST_CALLS, 50]


async def test_the_requests_of_one_burst_share_a_connection() -> None:
    async with running(answering(RESULTS)) as node, rpc_to(node.url) as rpc:
        for _ in range(5):
            await call(rpc, "who", [])
        assert node.connections == 1


async def test_a_node_that_closes_its_connections_is_asked_on_new_ones() -> None:
    async with running(closing(answering(RESULTS))) as node, rpc_to(node.url) as rpc:
        for number in range(20):
            assert await call(rpc, "echo", [number]) == number
        assert node.connections > 1
        assert rpc.providers[0].failures == 0


# Batches that nodes don't like

WHOLE_BATCH_REFUSALS = {
    "an error object": http('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}'),
    "a list of one error": http('[{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"too many"}}]'),
    "an empty list": http("[]"),
    "null": http("null"),
    "a page": http("<html>no</html>"),
    "HTTP 400": http("bad request", 400),
    "HTTP 413": http("too large", 413),
    "HTTP 500": http('{"message":"Batch of more than 3 requests are not allowed","code":31}', 500),
}


@pytest.mark.parametrize("raw", WHOLE_BATCH_REFUSALS.values(), ids=WHOLE_BATCH_REFUSALS)
async def test_a_node_that_takes_no_batches_is_asked_one_by_one(raw: bytes) -> None:
    async with running(refusing_batches(RESULTS, raw)) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, echoes(5)) == list(range(5))
        node.forget()
        assert await batch(rpc, echoes(4)) == list(range(4))
        assert node.sizes == [0, 0, 0, 0], "it is remembered"


async def test_a_node_that_takes_small_batches_gets_small_batches() -> None:
    small = refusing_batches(RESULTS, http("[]"), above=3)
    async with running(small) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, echoes(100)) == list(range(100))
        node.forget()
        assert await batch(rpc, echoes(9)) == list(range(9))
        assert max(node.sizes) <= 3
        assert len(node.sizes) < 9


async def test_a_failure_forgets_neither_what_a_node_takes_nor_its_chain() -> None:
    async with running(refusing_batches(RESULTS, http("[]"))) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, echoes(5)) == list(range(5))
        node.behave = saying(http("", 502))
        await failure_of(rpc)
        node.behave = answering(RESULTS)
        node.forget()
        assert await batch(rpc, echoes(3)) == list(range(3))
        assert node.sizes == [0, 0, 0]
        assert "eth_chainId" not in node.methods


async def test_larger_batches_are_tried_again_once_many_were_taken() -> None:
    async with running(refusing_batches(RESULTS, http("[]"))) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, echoes(4)) == list(range(4))
        node.behave = answering(RESULTS)
        node.forget()
        assert await batch(rpc, echoes(200)) == list(range(200))
        assert node.sizes[:6] == [0] * 6
        assert max(node.sizes) > 1


BAD_BATCHES: dict[str, Callable[[list[Any]], Any]] = {
    "too short": lambda answers: answers[:-1],
    "too long": lambda answers: [*answers, answers[0]],
    "two answers to one": lambda answers: [*answers, {**answers[0], "result": "another"}],
    "one twice": lambda answers: [answers[0], *answers[:-1]],
    "other ids": lambda answers: [{**answer, "id": answer["id"] + 1000} for answer in answers],
    "ids shifted by one": lambda answers: [{**answer, "id": answer["id"] + 1} for answer in answers],
    "ids as other texts": lambda answers: [{**answer, "id": f"{answer['id']}x"} for answer in answers],
    "no ids": lambda answers: [{"result": answer["result"]} for answer in answers],
    "ids of null": lambda answers: [{**answer, "id": None} for answer in answers],
    "a list as id": lambda answers: [{**answer, "id": [1]} for answer in answers],
    "nulls": lambda answers: [None for _ in answers],
    "texts": lambda answers: ["0x1" for _ in answers],
    "lists in the list": lambda answers: [answers],
    "an object of answers": lambda answers: {str(answer["id"]): answer for answer in answers},
}


@pytest.mark.parametrize("change", BAD_BATCHES.values(), ids=BAD_BATCHES)
async def test_no_answer_of_a_muddled_batch_is_believed(change: Callable[[list[Any]], Any]) -> None:
    muddling = changing(RESULTS, lambda answer: change(answer) if isinstance(answer, list) else answer)
    async with running(muddling) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, echoes(6)) == list(range(6))


async def test_a_call_that_is_refused_among_others_is_asked_again_alone() -> None:
    refusals = iter([Error("response too large"), 7])
    results = {**RESULTS, "moody": lambda: next(refusals)}
    async with running(answering(results)) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, [("echo", [1]), ("moody", []), ("echo", [2])]) == [1, 7, 2]
        assert node.sizes == [0, 3, 0], "the answers to the others are kept"
        node.forget()
        assert await batch(rpc, echoes(50)) == list(range(50))
        assert node.sizes == [50], "one call was at fault, not the batch"


async def test_a_call_that_is_refused_for_good_fails_in_the_nodes_words() -> None:
    async with running(answering({**RESULTS, "who": Error("execution reverted")})) as node, rpc_to(node.url) as rpc:
        with pytest.raises(ProviderFailed, match=r"^127\.0\.0\.1:\d+: refused: execution reverted$"):
            await batch(rpc, [("echo", [1]), ("who", []), ("echo", [2])])


async def test_a_batch_whose_answer_is_too_large_is_asked_for_in_parts() -> None:
    megabytes = "0" * (MOST_BYTES // 5)
    async with running(answering({**RESULTS, "big": megabytes})) as node, rpc_to(node.url) as rpc:
        assert await batch(rpc, [("big", [])] * 7) == [megabytes] * 7
        assert node.sizes == [0, 7, 3, 3, 0]


# Answers that are none

BAD_ANSWERS: dict[str, Callable[[Any], Any]] = {
    "null": lambda _: None,
    "an empty list": lambda _: [],
    "a list with the answer": lambda answer: [answer],
    "a text": lambda _: "0x1",
    "a number": lambda _: 1,
    "true": lambda _: True,
    "an empty object": lambda _: {},
    "no id": lambda answer: {"jsonrpc": "2.0", "result": answer["result"]},
    "another id": lambda answer: {**answer, "id": answer["id"] + 1},
    "an id as another text": lambda answer: {**answer, "id": f" {answer['id']}"},
    "no result": lambda answer: {"jsonrpc": "2.0", "id": answer["id"]},
    "an error beside the result": lambda answer: {**answer, "error": {"code": 1, "message": "no"}},
    "an error": lambda answer: {"id": answer["id"], "error": {"code": 1, "message": "no"}},
    "an error without an id": lambda _: {"id": None, "error": {"code": 1, "message": "no"}},
    "an error as text": lambda answer: {"id": answer["id"], "error": "no"},
    "an error as list": lambda answer: {"id": answer["id"], "error": [1, 2]},
    "an error as number": lambda answer: {"id": answer["id"], "error": 7},
    "an error without a message": lambda answer: {"id": answer["id"], "error": {"code": 5}},
    "an empty error": lambda answer: {"id": answer["id"], "error": {}},
}
BAD_BYTES = {
    "nothing": http(""),
    "a page": http("<html>maintenance</html>"),
    "half a JSON": http('{"jsonrpc":"2.0","id":0,"result":'),
    "not UTF-8": http(b'{"jsonrpc":"2.0","id":0,"result":"\xff\xfe"}'),
    "a number without end": http('{"jsonrpc":"2.0","id":0,"result":' + "9" * 10_000 + "}"),
    "an id without end": http('{"jsonrpc":"2.0","id":' + "9" * 10_000 + ',"result":1}'),
    "a deep nesting": http("[" * 200_000 + "]" * 200_000),
    "HTTP 204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP 401": http("unauthorised", 401),
    "HTTP 404": http("not found", 404),
    "HTTP 429": http("slow down", 429),
    "HTTP 500": http('{"jsonrpc":"2.0","id":0,"result":"0x1"}', 500),
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    "no gzip": http(b"not gzip", 200, "Content-Encoding: gzip\r\n"),
}
BAD_BEHAVIOURS: dict[str, Behaviour] = {
    **{name: changing(RESULTS, change) for name, change in BAD_ANSWERS.items()},
    **{name: saying(raw) for name, raw in BAD_BYTES.items()},
    "no answer and the end": hanging_up,
    "half an answer and the end": breaking_off(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"jsonrpc":'),
    "an answer without end": flooding,
}


@pytest.mark.parametrize("behave", BAD_BEHAVIOURS.values(), ids=BAD_BEHAVIOURS)
async def test_what_is_no_answer_fails_and_the_next_provider_is_asked(behave: Behaviour) -> None:
    async with running(behave) as node, rpc_to(node.url) as rpc:
        await failure_of(rpc)
        assert rpc.providers[0].failures == 1
    async with two(behave) as (rpc, _, _, _):
        assert await batch(rpc, [("who", []), ("who", [])]) == ["second", "second"]


@pytest.mark.parametrize("behave", BAD_BEHAVIOURS.values(), ids=BAD_BEHAVIOURS)
async def test_a_node_that_knows_its_chain_and_then_talks_nonsense_is_no_better(behave: Behaviour) -> None:
    async with two(answering(RESULTS)) as (rpc, first, _, _):
        assert await call(rpc, "who", []) == "first"
        first.behave = behave
        assert await batch(rpc, [("who", []), ("who", [])]) == ["second", "second"]


@pytest.mark.parametrize("behave", [hanging, dripping])
async def test_a_slow_answer_is_none(behave: Behaviour) -> None:
    async with two(behave, timeout_seconds=1) as (rpc, first, _, _):
        assert await call(rpc, "who", []) == "second"
        assert first.sizes == [0]
        assert "no answer in time" in str(rpc.providers[0].last_error)


async def test_where_nobody_listens_the_next_provider_is_asked() -> None:
    async with running(answering(SECOND)) as node, rpc_to(f"http://127.0.0.1:{free_port()}", node.url) as rpc:
        assert await call(rpc, "who", []) == "second"
        assert rpc.providers[0].last_error == "can't connect, or the connection broke"


@pytest.mark.parametrize("later", ["crypto_checkout.chain.rpc.transport", "eth_account"])
def test_no_library_takes_away_pythons_guard_against_deep_nesting(later: str) -> None:
    code = f"import crypto_checkout.chain.wallet.signatures, {later}, json; json.loads('[' * 200_000)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "RecursionError" in ended.stderr


async def test_a_redirect_is_not_followed() -> None:
    async with running(answering(RESULTS)) as elsewhere:
        away = http("", 307, f"Location: {elsewhere.url}\r\n")
        async with running(saying(away)) as node, rpc_to(node.url) as rpc:
            assert str(await failure_of(rpc)).endswith("HTTP 307")
        assert elsewhere.bodies == []


async def test_the_failure_says_what_each_provider_did() -> None:
    async with (
        running(saying(http("", 503))) as one,
        running(answering({})) as other,
        rpc_to(one.url, other.url) as rpc,
    ):
        assert str(await failure_of(rpc)) == (
            f"127.0.0.1:{one.port}: HTTP 503; 127.0.0.1:{other.port}: refused: the method does not exist"
        )


async def test_without_a_provider_the_failure_says_so() -> None:
    async with rpc_to() as rpc:
        assert "no provider is configured" in str(await failure_of(rpc))


async def test_being_cancelled_is_no_fault_of_the_provider() -> None:
    async with running(hanging) as node, rpc_to(node.url) as rpc:
        waiting = asyncio.create_task(call(rpc, "who", []))
        await node.wait_for_requests(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert rpc.providers[0].failures == 0


async def test_closing_twice_is_safe_and_a_closed_one_opens_again() -> None:
    async with running(answering(RESULTS)) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "who", []) == "first"
        await rpc.close()
        await rpc.close()
        assert await call(rpc, "who", []) == "first"


# Which provider is asked


async def test_a_provider_that_failed_rests_while_the_next_one_works() -> None:
    async with two(saying(http("", 500))) as (rpc, first, second, clock):
        assert await call(rpc, "who", []) == "second"
        first.behave = answering(RESULTS)
        first.forget()
        assert [await call(rpc, "who", []) for _ in range(3)] == ["second"] * 3
        assert first.bodies == []
        clock.now += 1
        assert await call(rpc, "who", []) == "first"
        second.forget()
        assert await call(rpc, "who", []) == "first"
        assert second.bodies == []


async def test_each_failure_in_a_row_doubles_the_rest_up_to_a_minute() -> None:
    async with two(saying(http("", 500))) as (rpc, first, _, clock):
        rests = []
        for _ in range(9):
            assert await call(rpc, "who", []) == "second"
            rests.append(rpc.providers[0].paused_until - clock.now)
            clock.now = rpc.providers[0].paused_until
        assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        first.behave = answering(RESULTS)
        assert await call(rpc, "who", []) == "first"
        first.behave = saying(http("", 500))
        assert await call(rpc, "who", []) == "second"
        assert rpc.providers[0].paused_until - clock.now == 1, "an answer makes good for everything"


async def test_an_outage_of_days_is_survived() -> None:
    async with running(saying(http("", 500))) as node, rpc_to(node.url) as rpc:
        provider = rpc.providers[0]
        for _ in range(5000):
            provider.failed("HTTP 500", 0)
        await failure_of(rpc)
        node.behave = answering(RESULTS)
        assert await call(rpc, "who", []) == "first"


async def test_when_all_rest_the_one_that_is_due_first_is_asked_first() -> None:
    async with two(saying(http("", 500))) as (rpc, first, second, clock):
        assert await call(rpc, "who", []) == "second"
        clock.now += 0.5
        second.behave = saying(http("", 500))
        await failure_of(rpc)
        assert (rpc.providers[0].failures, rpc.providers[1].failures) == (2, 1)
        first.behave = second.behave = answering(SECOND)
        first.forget()
        assert await call(rpc, "who", []) == "second"
        assert first.bodies == []


async def test_an_answer_that_makes_no_sense_costs_a_provider_its_turn_too() -> None:
    async def read(ask: Ask) -> str:
        (answer,) = await ask([("who", [])])
        if answer == "first":
            raise ProviderFailed("block 7 is not there yet")
        return str(answer)

    async with two(answering(RESULTS)) as (rpc, first, _, _):
        assert await rpc.with_failover(read) == "second"
        assert rpc.providers[0].last_error == "block 7 is not there yet"
        first.forget()
        assert await rpc.with_failover(read) == "second"
        assert first.bodies == []


async def test_a_conversation_has_one_partner() -> None:
    breaking = {**RESULTS, "later": Error("gone")}

    async def read(ask: Ask) -> list[Any]:
        return [*await ask([("who", [])]), *await ask([("later", [])])]

    async with two(answering(breaking)) as (rpc, _, second, _):
        second.behave = answering({**SECOND, "later": "second too"})
        assert await rpc.with_failover(read) == ["second", "second too"]


async def test_a_chain_that_moved_is_nobodys_fault() -> None:
    async def read(ask: Ask) -> None:
        await ask([("who", [])])
        raise ChainMoved("a block went away")

    async with two(answering(RESULTS)) as (rpc, _, second, _):
        with pytest.raises(ChainMoved):
            await rpc.with_failover(read)
        assert rpc.providers[0].failures == 0
        assert second.bodies == []


# Which chain they serve


async def test_a_provider_of_another_chain_is_never_believed() -> None:
    async with running(answering({**RESULTS, "eth_chainId": "0x5"})) as node, rpc_to(node.url) as rpc:
        for _ in range(3):
            assert "it serves chain 5, not 1: correct its URL in rpc_urls" in str(await failure_of(rpc))
        assert set(node.methods) == {"eth_chainId"}


async def test_beside_a_provider_of_another_chain_the_right_one_is_asked() -> None:
    async with two(answering({**RESULTS, "eth_chainId": "0x5"})) as (rpc, first, _, _):
        assert await call(rpc, "who", []) == "second"
        assert first.methods == ["eth_chainId"]


@pytest.mark.parametrize("said", [None, [], "", "0x", "1", 1, {}, "0x" + "f" * 1000, Error("no")])
async def test_a_provider_that_does_not_name_its_chain_is_not_believed(said: Any) -> None:
    async with running(answering({**RESULTS, "eth_chainId": said})) as node, rpc_to(node.url) as rpc:
        await failure_of(rpc)
        assert node.methods == ["eth_chainId"]


async def test_what_comes_back_after_an_outage_has_to_name_its_chain_again() -> None:
    port = free_port()
    async with running(answering(RESULTS), port=port) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "who", []) == "first"
        await rpc.close()
    other_chain = {**RESULTS, "eth_chainId": "0x5"}
    with pytest.raises(ProviderFailed, match="can't connect"):
        await call(rpc, "who", [])
    async with running(answering(other_chain), port=port) as node:
        try:
            assert "it serves chain 5, not 1" in str(await failure_of(rpc))
            assert node.methods == ["eth_chainId"]
        finally:
            await rpc.close()


async def test_an_address_that_changes_hands_without_an_outage_is_noticed_within_a_minute() -> None:
    clock = Clock()
    async with running(answering(RESULTS)) as node, rpc_to(node.url, clock=clock) as rpc:
        assert await call(rpc, "who", []) == "first"
        assert await call(rpc, "who", []) == "first"
        assert node.methods.count("eth_chainId") == 1
        node.behave = answering({**RESULTS, "eth_chainId": "0x5"})
        clock.now += 60
        assert "it serves chain 5" in str(await failure_of(rpc))


# Secrets

LEAKING: dict[str, Callable[[Node], Behaviour]] = {
    "an error": lambda _: answering({}),
    "HTTP 401": lambda _: saying(http("", 401)),
    "a page": lambda _: saying(http("<html>")),
    "an error that repeats the URL": lambda node: answering({"eth_chainId": Error(f"no project at {node.url}")}),
    "an error that repeats the key": lambda _: answering({"eth_chainId": Error(f"key {SECRET}\nis over\x1b[31m")}),
    "a result that repeats the key": lambda _: answering({"eth_chainId": f"0x{SECRET}"}),
    "no answer": lambda _: hanging_up,
    "a slow answer": lambda _: hanging,
    "no HTTP": lambda _: saying(b"nonsense\r\n\r\n"),
}


@pytest.mark.parametrize("make", LEAKING.values(), ids=LEAKING)
@pytest.mark.parametrize("where", [f"/v3/{SECRET}", f"/?apikey={SECRET}&x=1", f"/{SECRET}%2Frpc"])
async def test_the_key_in_a_url_is_told_to_nobody_but_its_provider(
    make: Callable[[Node], Behaviour], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(hanging_up, path=where) as node:
        node.behave = make(node)
        with_user = node.url.replace("http://", f"http://user:{SECRET}@")
        async with rpc_to(with_user, timeout_seconds=1 if node.behave is hanging else WAIT_SECONDS) as rpc:
            error = await failure_of(rpc)
            told = [
                "".join(traceback.format_exception(error)),
                repr(error),
                repr(rpc.providers),
                str(rpc.providers[0].transport),
                str(rpc.providers[0].last_error),
                caplog.text,
            ]
            assert node.targets[0] == where
    assert error.__cause__ is None
    assert error.__context__ is None
    for text in told:
        assert SECRET not in text
    assert str(error).startswith(f"127.0.0.1:{node.port}: ")
    assert str(error).isprintable()


async def test_what_a_node_says_is_cut_short() -> None:
    async with running(answering({"eth_chainId": Error("long " * 100_000)})) as node, rpc_to(node.url) as rpc:
        assert len(str(await failure_of(rpc))) < 300


# Numbers


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, [], {}, "", "0x", "1a", "0xg", "0X1", "-0x1", "0x-1", "0x+1", "0x1_0", " 0x1", "0x1 ", "0x1\n",
     "0x\u0661", "0x" + "f" * 65, "0x" + "0" * 100_000],
)  # fmt: skip
def test_what_is_no_number_of_256_bits_is_refused(value: Any) -> None:
    with pytest.raises(ProviderFailed):
        quantity(value)


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_every_number_of_256_bits_is_read(number: int) -> None:
    assert quantity(hex(number)) == number
    assert quantity(f"0x{number:064X}") == number

"""RPC nodes on this machine, most of them broken, lagging or lying: HTTP servers that answer JSON-RPC as they are told.

`answering({"eth_chainId": "0x1", …})` is an honest one; each method has its result, a function of its
parameters that returns it, or an `Error`. The others alter the answers of another one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Any

import httpx

from crypto_checkout.chain.rpc.providers import Call, Rpc
from tests.support.waiting import WAIT_SECONDS

Behaviour = Callable[[Any, asyncio.StreamWriter], Awaitable[None]]
"""Answers one HTTP request, given its body's JSON."""


@dataclass(frozen=True)
class Error:
    """The node's refusal of a call."""

    message: str
    code: int = -32000


@dataclass
class Node:
    """A node that records its requests."""

    behave: Behaviour
    port: int = 0
    path: str = ""
    bodies: list[Any] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Condition = field(default_factory=asyncio.Condition)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    heard: Callable[[str], None] = lambda _: None
    """Gets the head of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def methods(self) -> list[str]:
        """The methods of all calls, in order."""
        return [call["method"] for body in self.bodies for call in (body if isinstance(body, list) else [body])]

    @property
    def sizes(self) -> list[int]:
        """The number of calls in each request; 0 stands for a call without a batch."""
        return [len(body) if isinstance(body, list) else 0 for body in self.bodies]

    def forget(self) -> None:
        self.bodies.clear()
        self.targets.clear()

    async def wait_for_requests(self, count: int) -> None:
        async with self.asked:
            await self.asked.wait_for(lambda: len(self.bodies) >= count)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.running.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heard(head)
                length = next(
                    int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")
                )
                body = json.loads(await reader.readexactly(length))
                async with self.asked:
                    self.bodies.append(body)
                    self.targets.append(head.split()[1])
                    self.asked.notify_all()
                await self.behave(body, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.transport.abort()


@asynccontextmanager
async def running(behave: Behaviour, *, path: str = "", port: int = 0) -> AsyncIterator[Node]:
    node = Node(behave, path=path)
    server = await asyncio.start_server(node.accept, "127.0.0.1", port)
    node.port = server.sockets[0].getsockname()[1]
    try:
        yield node
    finally:
        server.close()
        for task in node.running:
            task.cancel()
        await asyncio.gather(*node.running, return_exceptions=True)
        await server.wait_closed()


@contextmanager
def running_beside(behave: Behaviour, *, heard: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Run a node in a thread of its own, for tests that wait for processes; yield its URL."""
    urls = SimpleQueue[str]()
    loop = asyncio.new_event_loop()
    is_over = asyncio.Event()

    async def serve() -> None:
        async with running(behave) as node:
            node.heard = heard
            urls.put(node.url)
            await is_over.wait()

    thread = Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        yield urls.get(timeout=WAIT_SECONDS)
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()
        loop.close()


def http(content: bytes | str, status: int = 200, headers: str = "") -> bytes:
    body = content.encode() if isinstance(content, str) else content
    return f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def saying(raw: bytes) -> Behaviour:
    """Answer everything with these bytes."""

    async def behave(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return behave


def answering(results: Mapping[str, Any]) -> Behaviour:
    return changing(results, lambda answer: answer)


def changing(results: Mapping[str, Any], change: Callable[[Any], Any]) -> Behaviour:
    """Answer honestly, except that the whole of each answer, a list for a batch, goes through `change`."""

    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        calls = body if isinstance(body, list) else [body]
        answers = [_answer(results, call) for call in calls]
        writer.write(http(json.dumps(change(answers if isinstance(body, list) else answers[0]))))

    return behave


def forwarding(url: str, results: Mapping[str, Any]) -> Behaviour:
    """Pass calls on to a real node, except for the methods in `results`, which are answered from there."""

    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        calls = body if isinstance(body, list) else [body]
        async with httpx.AsyncClient(timeout=WAIT_SECONDS, trust_env=False) as client:
            answers = (await client.post(url, json=calls)).json()
        by_id = {answer["id"]: answer for answer in answers}
        answers = [_answer(results, call) if call["method"] in results else by_id[call["id"]] for call in calls]
        writer.write(http(json.dumps(answers if isinstance(body, list) else answers[0])))

    return behave


def one_block_ahead(url: str, *, lies: Callable[[], bool] = lambda: True, traces: bool = True) -> Behaviour:
    """Pass calls on to a real node, and answer `eth_call` for the newest block with the state of the one after it.

    Nodes do that while they import a block (erigon's issue 2803). So the newest block that this one shows is the one
    before the real node's; a later look at the same block, once it isn't the newest any more, is answered rightly.
    """

    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        calls = body if isinstance(body, list) else [body]
        async with httpx.AsyncClient(timeout=WAIT_SECONDS, trust_env=False) as client:

            async def ask(*asked: Any) -> list[Any]:
                answers = (await client.post(url, json=list(asked))).json()
                by_id = {answer["id"]: answer for answer in answers}
                return [by_id[each["id"]] for each in asked]

            (number,) = await ask({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []})
            newest = int(number["result"], 16)
            shown = max(0, newest - 1)
            (block,) = await ask(
                {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [hex(shown), False]}
            )
            head = block["result"]["hash"]

            def changed(call: Any) -> Any:
                if call["method"] == "eth_getBlockByNumber" and call["params"][0] == "latest":
                    return {**call, "params": [hex(shown), call["params"][1]]}
                if call["method"] == "eth_call" and call["params"][1] == {"blockHash": head} and lies():
                    return {**call, "params": [call["params"][0], hex(newest)]}
                return call

            answers = await ask(*map(changed, calls))
            for call, answer in zip(calls, answers, strict=True):
                if call["method"] == "eth_blockNumber":
                    answer["result"] = hex(shown)
                if call["method"] == "debug_traceBlockByHash" and not traces:
                    del answer["result"]
                    answer["error"] = {"code": -32601, "message": "the method is not available"}
        writer.write(http(json.dumps(answers if isinstance(body, list) else answers[0])))

    return behave


def refusing_batches(results: Mapping[str, Any], raw: bytes, *, above: int = 0) -> Behaviour:
    """Answer calls that come alone; answer a batch of more than so many calls with these bytes."""
    honest = answering(results)

    async def behave(body: Any, writer: asyncio.StreamWriter) -> None:
        if isinstance(body, list) and len(body) > above:
            writer.write(raw)
        else:
            await honest(body, writer)

    return behave


async def hanging(_: Any, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def dripping(_: Any, writer: asyncio.StreamWriter) -> None:
    """Send a little now and then, so that no single read ever takes long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)


async def flooding(_: Any, writer: asyncio.StreamWriter) -> None:
    """Send without end."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"result":"')
    while not writer.is_closing():
        writer.write(b"0" * 2**20)
        await writer.drain()


async def hanging_up(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.close()


def closing(behave: Behaviour) -> Behaviour:
    """Answer like another, and close the connection after each answer without a word."""

    async def behave_and_close(body: Any, writer: asyncio.StreamWriter) -> None:
        await behave(body, writer)
        writer.close()

    return behave_and_close


def breaking_off(raw: bytes) -> Behaviour:
    """Send these bytes and hang up."""

    async def behave(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    return behave


def _answer(results: Mapping[str, Any], call: Any) -> Any:
    said = results.get(call["method"], Error("the method does not exist", -32601))
    result = said(*call["params"]) if callable(said) else said
    answer = {"jsonrpc": "2.0", "id": call["id"]}
    if isinstance(result, Error):
        return {**answer, "error": {"code": result.code, "message": result.message}}
    return {**answer, "result": result}


async def no_pause(_: float) -> None:
    """Let others go on, and take no time: the pauses of an `Rpc` wherever pausing isn't what is tested."""
    await asyncio.sleep(0)


class PausedClock:
    """A monotonic clock, in seconds, that stands still until it is moved; sleeping by it moves it and takes no time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def call(rpc: Rpc, method: str, params: list[Any]) -> Any:
    """Return the result of one call."""
    (result,) = await batch(rpc, [(method, params)])
    return result


async def batch(rpc: Rpc, calls: Sequence[Call]) -> list[Any]:
    """Return the results of several calls, all from one provider."""
    return await rpc.with_failover(lambda ask: ask(calls))

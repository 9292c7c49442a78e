"""A provider that fails in every way that providers do, by a seeded schedule, in front of a real node."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.nodes import Behaviour, Node, http, running
from tests.support.waiting import WAIT_SECONDS

KINDS = (
    "honest", "honest", "honest", "honest", "lag", "null", "null block", "no logs", "change of mind", "other parent",
    "half-way", "hang", "garbage", "too many", "refusal", "wrong length", "missing answers",
)  # fmt: skip
"""Fates of a request. Some change each answer in it: a "null block" is one that the node has just announced."""


class Faults:
    """A behaviour for each request; `chance` is the share of requests that fail, from 0 to 1.

    While it `inflates`, each balance is a wei too large; while it `is_down`, no request is answered.
    """

    def __init__(self, url: str, seed: int, chance: float = 1.0) -> None:
        self.chance = chance
        self.inflates = False
        self.is_down = False
        self.seen: set[str] = set()
        self._url = url
        self._random = random.Random(seed)
        self._client = httpx.AsyncClient(timeout=WAIT_SECONDS, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def __call__(self, body: Any, writer: asyncio.StreamWriter) -> None:
        kind = self._random.choice(KINDS) if self._random.random() < self.chance else "honest"
        self.seen.add(kind)
        calls = body if isinstance(body, list) else [body]
        if self.is_down:
            writer.close()
        elif kind == "hang":
            await writer.wait_closed()
        elif kind == "garbage":
            writer.write(http(self._random.choice(["", "<html>busy</html>", "[]", "null", '{"jsonrpc":"2.0"}'])))
        elif kind == "too many":
            writer.write(http("slow down", 429, "Retry-After: 1\r\n"))
        else:
            asked = await self._behind(calls) if kind == "lag" else calls
            answers = (await self._client.post(self._url, json=asked)).json()
            by_id = {answer["id"]: answer for answer in answers}
            changed = [self._changed(kind, call, by_id[call["id"]]) for call in calls]
            if kind == "missing answers" and len(changed) > 1:
                del changed[self._random.randrange(len(changed))]
            content = http(json.dumps(changed if isinstance(body, list) else changed[0]))
            writer.write(content[: len(content) // 2] if kind == "half-way" else content)
            if kind == "half-way":
                writer.close()

    async def _behind(self, calls: list[Any]) -> list[Any]:
        """Return the calls, asking for an older block where they ask for the newest."""
        ask = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        number = int((await self._client.post(self._url, json=ask)).json()["result"], 16)
        older = hex(max(0, number - self._random.randrange(1, 4)))
        return [{**call, "params": [older if each == "latest" else each for each in call["params"]]} for call in calls]

    def _changed(self, kind: str, call: Any, answer: Any) -> Any:
        if kind == "refusal":
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32000, "message": "not now"}}
        return {**answer, "result": self._lie(kind, call["method"], answer["result"])} if "result" in answer else answer

    def _lie(self, kind: str, method: str, result: Any) -> Any:
        """Return what is said instead of a result."""
        if self.inflates and method == "eth_call":
            return f"0x{int(result, 16) + 1:0{len(result) - 2}x}"
        false = "0x" + self._random.randbytes(32).hex()
        is_block = isinstance(result, dict) and "parentHash" in result
        lies: dict[str, tuple[bool, Any]] = {
            "null": (method != "eth_chainId", lambda: None),
            "null block": (is_block, lambda: None),
            "no logs": (method == "eth_getLogs", list),
            "change of mind": (isinstance(result, dict) and "hash" in result, lambda: {**result, "hash": false}),
            "other parent": (is_block, lambda: {**result, "parentHash": false}),
            "wrong length": (isinstance(result, str), lambda: result[:-2]),
        }
        can_be_told, lie = lies.get(kind, (False, None))
        return lie() if can_be_told else result


@asynccontextmanager
async def faulty(url: str, seed: int, chance: float = 1.0) -> AsyncIterator[tuple[Node, Faults]]:
    faults = Faults(url, seed, chance)
    behave: Behaviour = faults
    try:
        async with running(behave) as node:
            yield node, faults
    finally:
        await faults.close()

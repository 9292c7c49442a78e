"""Answers of a provider that would cost far more than they are worth, and large ones that are worth it."""

import asyncio
import json
import threading
import tracemalloc
from typing import Any

import pytest

from crypto_checkout.chain.rpc import answers
from crypto_checkout.chain.rpc.answers import MOST_BYTES, Call, decoded, most_bytes
from crypto_checkout.chain.rpc.failures import Nonsense, TooLarge
from tests.chain.rpc.test_providers import failure_of, rpc_to
from tests.support.nodes import answering, call, running

HASH, ADDRESS, BLOOM = "0x" + "ab" * 32, "0x" + "cd" * 20, "0x" + "00" * 256
SMALL = ("eth_blockNumber", "eth_chainId", "eth_getBalance", "eth_getTransactionCount")
TRAPS = {
    "empty lists": b"[" + b"[]," * 700_000 + b"[]]",
    "empty objects": b"[" + b"{}," * 700_000 + b"{}]",
    "small numbers": b"[" + b"1," * 1_000_000 + b"1]",
    "short texts": b"[" + b'"ab",' * 400_000 + b'"ab"]',
    "many keys": b"{" + b",".join(b'"%x":1' % number for number in range(200_000)) + b"}",
    "a deep nesting": b"[" * 1_000_000 + b"]" * 1_000_000,
    "a deep nesting of objects": b'{"a":' * 400_000 + b"1" + b"}" * 400_000,
}


@pytest.mark.parametrize("method", SMALL)
async def test_an_answer_far_too_large_for_a_number_is_not_read_to_its_end(method: str) -> None:
    results = {"eth_chainId": "0x1", method: "0x" + "0" * 4_000_000}
    async with running(answering(results)) as node, rpc_to(node.url) as rpc:
        assert "an answer of more than 16 KiB" in str(await failure_of(rpc, method))
        (used,) = rpc.meter.take().values()
        assert used.bytes_received < 1_000_000


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
async def test_an_answer_of_too_many_parts_is_refused_before_it_takes_memory(trap: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="too many parts"):
            await decoded(trap)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(trap) / 4


def test_what_is_asked_limits_the_answer() -> None:
    number: Call = ("eth_blockNumber", [])
    header: Call = ("eth_getBlockByNumber", ["0x1", False])
    whole: Call = ("eth_getBlockByNumber", ["0x1", True])
    logs: Call = ("eth_getLogs", [{}])
    assert most_bytes([number]) * 64 < most_bytes([header]) * 2 <= most_bytes([header, header])
    assert most_bytes([whole]) == most_bytes([logs]) == most_bytes([number, logs]) == MOST_BYTES
    assert most_bytes([number] * 100) == 100 * most_bytes([number])


def a_log(number: int) -> dict[str, Any]:
    of_block = {"blockHash": HASH, "blockNumber": "0x1", "transactionHash": HASH, "transactionIndex": "0x0"}
    event = {"address": ADDRESS, "topics": [HASH, HASH, HASH], "data": HASH, "removed": False}
    return {**of_block, **event, "logIndex": hex(number)}


def a_frame(calls: int) -> dict[str, Any]:
    frame = {"type": "CALL", "from": ADDRESS, "to": ADDRESS, "value": "0x0", "gas": "0x0", "gasUsed": "0x0"}
    return {**frame, "input": "0x", "calls": [{**frame, "input": "0x"} for _ in range(calls)]}


def a_transaction(number: int) -> dict[str, Any]:
    fee = {"gas": "0x5208", "gasPrice": "0x1", "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x0"}
    signature = {"v": "0x0", "r": HASH, "s": HASH, "yParity": "0x0"}
    access = [{"address": ADDRESS, "storageKeys": [HASH] * 3}] * 5
    sent = {"from": ADDRESS, "to": ADDRESS, "value": "0x1", "input": "0x", "nonce": hex(number), "hash": HASH}
    return {**sent, **fee, **signature, "type": "0x2", "chainId": "0x1", "accessList": access}


LARGE = {
    "logs": [a_log(number) for number in range(4000)],
    "traces": [{"txHash": HASH, "result": a_frame(40)} for _ in range(250)],
    "a block": {"hash": HASH, "logsBloom": BLOOM, "transactions": [a_transaction(n) for n in range(1500)]},
    "hashes": {"hash": HASH, "transactions": [HASH] * 20_000},
}


@pytest.mark.parametrize("result", LARGE.values(), ids=LARGE)
async def test_what_chains_are_full_of_is_decoded(result: Any) -> None:
    content = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}, separators=(",", ":")).encode()
    assert (await decoded(content))["result"] == result
    async with running(answering({"eth_chainId": "0x1", "eth_getLogs": result})) as node, rpc_to(node.url) as rpc:
        assert await call(rpc, "eth_getLogs", []) == result


async def test_a_large_answer_is_decoded_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()

    def noting(found: dict[str, Any]) -> dict[str, Any]:
        threads.add(threading.get_ident())
        return found

    monkeypatch.setattr(answers, "_unchanged", noting)
    ticking = asyncio.ensure_future(asyncio.sleep(0))
    await decoded(json.dumps(LARGE["logs"]).encode())
    assert ticking.done()
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("content", [b"", b"{", b"nonsense", b'{"a":"\xff"}'])
async def test_what_is_no_json_is_nonsense(content: bytes) -> None:
    with pytest.raises(Nonsense):
        await decoded(content)

"""Answers of a provider as JSON: their largest size, their decoding, and the match with the calls.

A provider is a stranger. The size of an answer is limited by the calls that it answers, and what would take far more
memory than its size is refused before it is decoded.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from web3.types import RPCRequest, RPCResponse

from crypto_checkout.chain.rpc.failures import Muddled, Nonsense, TooLarge


class Json(str):
    """Parameters of a call that are JSON already: what is large is written once, and sent again and again."""

    __slots__ = ()


Call = tuple[str, list[Any] | Json]

MOST_BYTES = 32 * 2**20
"""The largest answer that is read. Ten full blocks of Ethereum take a third of it."""

_NUMBER_BYTES = 16 * 2**10
_HEADER_BYTES = 2 * 2**20
_OF_METHOD = {
    **dict.fromkeys(("eth_blockNumber", "eth_chainId", "eth_getBalance", "eth_getTransactionCount"), _NUMBER_BYTES),
    # The answer is at most as long as a contract's code (EIP-170) twice over, in hexadecimal digits.
    "eth_call": 128 * 2**10,
    # A transaction's data has 128 KiB at most in common nodes; a chain may allow larger code than EIP-170.
    **dict.fromkeys(("eth_getTransactionByHash", "eth_getCode"), 2 * 2**20),
}
# In real blocks, logs and traces a comma comes every 25 to 50 bytes, a bracket every 100 to 500.
_BYTES_PER_ITEM = 16
_BYTES_PER_CONTAINER = 32
_FREE_ITEMS = 10_000
_FREE_CONTAINERS = 2_000
_LARGE_BYTES = 256 * 2**10
_LONGEST_WORDS = 200


def most_bytes(calls: Sequence[Call]) -> int:
    """Return the largest size of an answer to these calls: small for numbers, balances and headers."""
    return min(MOST_BYTES, sum(_most_of(method, params) for method, params in calls))


def _most_of(method: str, params: list[Any] | Json) -> int:
    if method in {"eth_getBlockByNumber", "eth_getBlockByHash"} and params[-1] is False:
        return _HEADER_BYTES
    return _OF_METHOD.get(method, MOST_BYTES)


async def decoded(content: bytes) -> Any:
    """Decode an answer, a large one in a thread. Raises Nonsense for what is not JSON, and TooLarge for a trap."""
    if len(content) < _LARGE_BYTES:
        return _decode(content, None)
    return await asyncio.to_thread(_decode, content, _unchanged)


def _decode(content: bytes, hook: Callable[[dict[str, Any]], Any] | None) -> Any:
    free_items = _FREE_ITEMS + len(content) // _BYTES_PER_ITEM
    free_containers = _FREE_CONTAINERS + len(content) // _BYTES_PER_CONTAINER
    if content.count(b"[") + content.count(b"{") > free_containers or content.count(b",") > free_items:
        raise TooLarge("an answer of too many parts for its size")
    try:
        return json.loads(content, object_hook=hook)
    except (ValueError, RecursionError):
        pass
    raise Nonsense("an answer that is not JSON")


def _unchanged(found: dict[str, Any]) -> dict[str, Any]:
    """Return a decoded object. A call of Python code lets other threads run, which the decoder by itself never does."""
    return found


def errors_only(answer: Any) -> bool:
    """Tell whether an answer, or each of a batch, is an error in JSON-RPC's form."""
    parts = answer if isinstance(answer, list) else [answer]
    return bool(parts) and all(isinstance(each, dict) and each.get("error") for each in parts)


def words_of(answer: Any) -> str:
    """Return the words in an answer that is not JSON-RPC, empty for none."""
    told = answer
    for key in ("error", "message", "detail"):
        if isinstance(told, dict) and key in told:
            told = told[key]
    return told[:_LONGEST_WORDS] if isinstance(told, str) else ""


def matched(requests: Sequence[RPCRequest], answers: Sequence[Any]) -> list[RPCResponse]:
    """Put answers in the order of their requests; each request must have exactly one (JSON-RPC 2.0, section 6)."""
    by_id = {}
    for answer in answers:
        if not isinstance(answer, dict) or (number := _id(answer.get("id"))) is None:
            raise Muddled("an answer without an id")
        by_id[number] = cast("RPCResponse", answer)
    if len(answers) != len(requests) or by_id.keys() != {request["id"] for request in requests}:
        raise Muddled(f"{len(answers)} answers to {len(requests)} calls, not one to each")
    return [by_id[_number(request)] for request in requests]


def _id(given: Any) -> int | None:
    """Read an id, which some providers return as text."""
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= len(str(2**63)):
        return int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _number(request: RPCRequest) -> int:
    return cast("int", request["id"])

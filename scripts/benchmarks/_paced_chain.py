"""A chain that makes blocks at the pace and of the size of a real one, without any payment to the shop.

Blocks follow from the time alone, so that nothing has to run for them; each block is the same whenever it is asked for.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from tests.support import balance_calls
from tests.support.nodes import Behaviour, Error, answering

FIRST_BLOCK = 20_000_000
LOGS_OF_OTHERS = 3
"""Logs of other contracts for each transaction."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """A chain's seconds between blocks, and what a block holds: transactions, and transfers of each accepted token."""

    seconds: float
    transactions: int
    token_transfers: int


class PacedChain:
    """The chain; `asked` counts its calls by method. `strange` holds calls that it couldn't answer."""

    def __init__(self, chain_id: int, pace: Pace, decimals: Mapping[str, int]) -> None:
        self.chain_id = chain_id
        self.asked: Counter[str] = Counter()
        self.strange: set[str] = set()
        self._pace = pace
        self._decimals = decimals
        self._began = time.time()
        self._built = lru_cache(maxsize=64)(self._build)

    def behaviour(self) -> Behaviour:
        """Return the node's behaviour."""
        results: dict[str, Callable[..., Any]] = {
            "eth_chainId": lambda: hex(self.chain_id),
            "eth_blockNumber": lambda: hex(self.newest),
            "eth_gasPrice": lambda: hex(10**9),
            "eth_getBlockByNumber": lambda at, full: self._block(self._number(at), full),
            "eth_getBlockByHash": lambda block_hash, full: self._block(self._number_of(block_hash), full),
            "eth_getLogs": self._logs,
            "eth_call": self._call,
            "eth_getCode": lambda *_: "0x60",
            "eth_getBalance": lambda *_: "0x0",
            "eth_getTransactionCount": lambda *_: "0x0",
        }
        honest = answering(results)

        async def behave(body: Any, writer: Any) -> None:
            calls = body if isinstance(body, list) else [body]
            self.asked.update(call["method"] for call in calls)
            self.strange.update(call["method"] for call in calls if call["method"] not in results)
            await honest(body, writer)

        return behave

    @property
    def newest(self) -> int:
        return FIRST_BLOCK + int((time.time() - self._began) / self._pace.seconds)

    def _number(self, at: str) -> int:
        if at == "latest":
            return self.newest
        return self.newest - 64 if at in {"safe", "finalized"} else int(at, 16)

    def _number_of(self, block_hash: str) -> int:
        return int(block_hash[2:18], 16)

    def _hash(self, number: int, place: int = 0) -> str:
        """Return the hash of a block, or of its transaction at a place from 1: its number, then dice."""
        return f"0x{number:016x}" + hashlib.sha256(f"{self.chain_id} {number} {place}".encode()).hexdigest()[:48]

    def _block(self, number: int, full: bool) -> Json | None:
        return self._built(number, full) if number <= self.newest else None

    def _build(self, number: int, full: bool) -> Json:
        hashes = [self._hash(number, place) for place in range(1, self._pace.transactions + 1)]
        return {
            "number": hex(number),
            "hash": self._hash(number),
            "parentHash": self._hash(number - 1),
            "timestamp": hex(int(self._began + (number - FIRST_BLOCK) * self._pace.seconds)),
            "logsBloom": "0x" + "ff" * 256,
            "transactions": [self._transaction(number, each) for each in hashes] if full else hashes,
            **dict.fromkeys(
                ("sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash"), "0x" + "5a" * 32
            ),
            **dict.fromkeys(("withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash"), "0x" + "5b" * 32),
            **dict.fromkeys(
                ("gasLimit", "gasUsed", "size", "baseFeePerGas", "blobGasUsed", "excessBlobGas"), "0x2625a0"
            ),
            "miner": "0x" + "4d" * 20,
            "extraData": "0x" + "00" * 16,
            "nonce": "0x0000000000000000",
            "difficulty": "0x0",
            "uncles": [],
        }

    def _transaction(self, number: int, tx_hash: str) -> Json:
        """Return a swap or a token's transfer as most are: about a kilobyte of JSON."""
        return {
            "blockHash": self._hash(number),
            "blockNumber": hex(number),
            "hash": tx_hash,
            "from": "0x" + tx_hash[-40:],
            "to": "0x" + "70" * 20,
            "value": "0x0",
            "input": "0xa9059cbb" + "6d" * 160,
            **dict.fromkeys(("gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "nonce"), "0x3b9aca00"),
            **dict.fromkeys(("r", "s"), "0x" + "7c" * 32),
            **dict.fromkeys(("v", "yParity", "type", "transactionIndex"), "0x1"),
            "chainId": hex(self.chain_id),
            "accessList": [],
        }

    def _logs(self, criteria: Json) -> list[Json]:
        if "blockHash" in criteria:
            numbers = [self._number_of(criteria["blockHash"])]
        else:
            first, last = (self._number(criteria[end]) for end in ("fromBlock", "toBlock"))
            numbers = [*range(first, min(last, self.newest) + 1)]
        return [log for number in numbers for log in self._logs_of(number, criteria)]

    def _logs_of(self, number: int, criteria: Json) -> list[Json]:
        wanted = criteria.get("address")
        contracts = [wanted] if isinstance(wanted, str) else wanted
        if any(each is not None for each in criteria.get("topics", [])[1:]):
            return []  # transfers to certain addresses: none is the shop's
        if contracts is None:
            count = LOGS_OF_OTHERS * self._pace.transactions
            return [self._log(number, place, "0x" + "70" * 20) for place in range(count)]
        moved = [each.lower() for each in contracts if each.lower() in self._decimals]
        places = range(len(moved) * self._pace.token_transfers)
        return [self._log(number, place, moved[place % len(moved)]) for place in places]

    def _log(self, number: int, place: int, contract: str) -> Json:
        return {
            "address": contract,
            "topics": [TRANSFER_TOPIC, *("0x" + "00" * 12 + part * 20 for part in ("7a", "7b"))],
            "data": "0x" + "00" * 31 + "01",
            "blockNumber": hex(number),
            "blockHash": self._hash(number),
            "transactionHash": self._hash(number, 1 + place % max(1, self._pace.transactions)),
            "transactionIndex": hex(place),
            "logIndex": hex(place),
            "removed": False,
        }

    def _call(self, call: Json, _: Any) -> str | Error:
        data = call["data"]
        if "to" in call:
            decimals = self._decimals.get(call["to"].lower(), 0)
            return f"0x{decimals:064x}" if data == "0x313ce567" else "0x" + b"TOKEN".ljust(32, b"\0").hex()
        found = balance_calls.answer(data, {}, {})
        if found is not None:
            return found
        self.strange.add("eth_call of an unknown code")
        return Error("execution reverted")

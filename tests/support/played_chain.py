"""A node that shows the blocks a test makes up: their transactions of any type, receipts, logs and balances.

Where this chain's blocks can be proven, hashes and roots are those of the content; elsewhere they are made up.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from crypto_checkout.chain.evm import bloom
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.chain.evm.proof import encoding
from crypto_checkout.chain.evm.proof.prove import PROVABLE_CHAINS
from crypto_checkout.chain.evm.proof.recompute import ordered_root
from crypto_checkout.core.address import keccak_256
from tests.support import balance_calls
from tests.support.nodes import Behaviour, Error, answering

PAYER = "0x" + "9a" * 20
ROUTER = "0x" + "70" * 20
NOWHERE = "0x" + "00" * 20
FIRST_BLOCK = 5_000_000
BLOCKS_TO_FINAL = 2

Json = dict[str, Any]


@dataclass(frozen=True)
class Log:
    """An event of a contract. Without an `index` it takes the next one of its block."""

    address: str
    topics: Sequence[str]
    data: str = "0x"
    index: int | None = None


@dataclass(frozen=True)
class Sent:
    """A transaction with its receipt; `more` and `receipt` are fields of its type, None where it lacks one."""

    to: str | None = ROUTER
    value: int = 0
    type: int = 2
    sender: str = PAYER
    succeeded: bool = True
    logs: Sequence[Log] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    receipt: Mapping[str, Any] = field(default_factory=dict)


def transfer(token: str, to: str, units: int, *, sender: str = PAYER, index: int | None = None) -> Log:
    """Return the event of a token's transfer."""
    parties = ("0x" + address[2:].lower().rjust(64, "0") for address in (sender, to))
    return Log(token.lower(), (TRANSFER_TOPIC, *parties), f"0x{units:064x}", index)


class PlayedChain:
    """The chain; `header` is added to each block. It begins with one empty block."""

    def __init__(self, chain_id: int, header: Mapping[str, Any]) -> None:
        self._chain_id = chain_id
        self._header = header
        self._blocks: list[Json] = []
        self._receipts: list[list[Json]] = []
        self._logs: list[list[Json]] = []
        self._coins: list[dict[str, int]] = []
        self._tokens: list[dict[str, dict[str, int]]] = []
        self._began = datetime.now(UTC) - timedelta(hours=1)
        self.add([])

    def add(
        self, sent: Sequence[Sent], *, credited: Mapping[str, int] | None = None, loose: Sequence[Log] = ()
    ) -> None:
        """Make a block; `credited` are coins that come from no transaction, `loose` logs that are in no receipt."""
        number = FIRST_BLOCK + len(self._blocks)
        block_hash = _hash(f"block {number}")
        transactions = [self._transaction(each, number, block_hash, place) for place, each in enumerate(sent)]
        receipts: list[Json] = []
        logs: list[Json] = []
        for each, made in zip(sent, transactions, strict=True):
            own = [_log(log, made, len(logs) + place) for place, log in enumerate(each.logs)]
            logs += own
            receipts.append(_receipt(each, made, own))
        loose_place = {"blockHash": block_hash, "blockNumber": hex(number), "hash": "0x" + "00" * 32}
        logs += [_log(log, {**loose_place, "transactionIndex": "0x0"}, len(logs)) for log in loose]
        self._keep_balances(sent, credited or {}, logs)
        self._receipts.append(receipts)
        self._logs.append(logs)
        block = {
            "number": hex(number),
            "hash": block_hash,
            "parentHash": self._blocks[-1]["hash"] if self._blocks else _hash("before"),
            "timestamp": hex(int((self._began + timedelta(hours=1, seconds=2 * len(self._blocks))).timestamp())),
            "logsBloom": f"0x{bloom.of_logs(logs):0512x}",
            "transactions": transactions,
            "gasLimit": "0x2255100",
            "gasUsed": "0x5208",
            "miner": NOWHERE,
            "extraData": "0x",
            "nonce": "0x0000000000000000",
            "difficulty": "0x0",
            "uncles": [],
            "size": "0x400",
            "baseFeePerGas": "0x7",
            **dict.fromkeys(("sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash"), _hash("root")),
            **self._header,
        }
        if self._chain_id in PROVABLE_CHAINS:
            self._seal(block, receipts, logs)
        self._blocks.append(block)

    def behaviour(self) -> Behaviour:
        """Return the node's behaviour."""
        return answering(
            {
                "eth_chainId": hex(self._chain_id),
                "eth_blockNumber": lambda: self._blocks[-1]["number"],
                "eth_getBlockByNumber": lambda at, full: self._shown(self._place(at), full),
                "eth_getBlockByHash": lambda at, full: self._shown(self._place(at), full),
                "eth_getBlockReceipts": lambda at: self._receipts[self._place(at)],
                "eth_getTransactionReceipt": self._receipt,
                "eth_getLogs": self._found_logs,
                "eth_call": self._call,
                "eth_getBalance": lambda address, at: hex(self._coins[self._place(at)].get(address.lower(), 0)),
                "eth_getTransactionCount": "0x0",
                "eth_getCode": "0x60",
            }
        )

    def _transaction(self, sent: Sent, number: int, block_hash: str, place: int) -> Json:
        made = {
            "blockHash": block_hash,
            "blockNumber": hex(number),
            "transactionIndex": hex(place),
            "hash": _hash(f"transaction {number} {place}"),
            "type": hex(sent.type),
            "from": sent.sender,
            "to": sent.to,
            "value": hex(sent.value),
            "gas": "0x5208",
            "gasPrice": "0x3b9aca00",
            "input": "0x",
            "nonce": hex(place),
            "chainId": hex(self._chain_id),
            **dict.fromkeys(("v", "r", "s"), "0x1"),
            **sent.more,
        }
        made = {name: value for name, value in made.items() if name == "to" or value is not None}
        if self._chain_id in PROVABLE_CHAINS:
            made["from"] = encoding.sender(made)
            made["hash"] = _keccak(encoding.transaction(made, self._chain_id))
        return made

    def _seal(self, block: Json, receipts: Sequence[Json], logs: Sequence[Json]) -> None:
        """Give a block the roots and the hash of its content."""
        encoded = [encoding.transaction(each, self._chain_id) for each in block["transactions"]]
        block["transactionsRoot"] = f"0x{ordered_root(encoded).hex()}"
        block["receiptsRoot"] = f"0x{ordered_root([encoding.receipt(each) for each in receipts]).hex()}"
        block["hash"] = _keccak(encoding.header(block))
        for each in (*block["transactions"], *receipts, *logs):
            each["blockHash"] = block["hash"]

    def _keep_balances(self, sent: Sequence[Sent], credited: Mapping[str, int], logs: Sequence[Json]) -> None:
        coins = dict(self._coins[-1]) if self._coins else {}
        moved = [(each.to, each.value) for each in sent if each.succeeded and each.to is not None]
        for address, units in (*moved, *credited.items()):
            coins[address.lower()] = coins.get(address.lower(), 0) + units
        self._coins.append(coins)
        tokens = {token: dict(held) for token, held in (self._tokens[-1] if self._tokens else {}).items()}
        for log in logs:
            if log["topics"][0] == TRANSFER_TOPIC:
                held = tokens.setdefault(log["address"], {})
                to = "0x" + log["topics"][2][-40:]
                held[to] = held.get(to, 0) + int(log["data"], 16)
        self._tokens.append(tokens)

    def _place(self, at: Any) -> int:
        """Return the place of a block given by its number, hash or tag."""
        last = len(self._blocks) - 1
        if isinstance(at, dict):
            at = at.get("blockHash") or at["blockNumber"]
        if at in {"latest", "safe", "finalized"}:
            return last if at == "latest" else max(0, last - BLOCKS_TO_FINAL)
        for name in ("hash", "number"):
            for place, block in enumerate(self._blocks):
                if block[name] == at:
                    return place
        return last + 1

    def _shown(self, place: int, full: bool) -> Json | None:
        if place >= len(self._blocks):
            return None
        block = self._blocks[place]
        return block if full else {**block, "transactions": [each["hash"] for each in block["transactions"]]}

    def _receipt(self, tx_hash: str) -> Json | None:
        every = (receipt for block in self._receipts for receipt in block)
        return next((receipt for receipt in every if receipt["transactionHash"] == tx_hash), None)

    def _found_logs(self, criteria: Json) -> list[Json]:
        first = self._place(criteria.get("blockHash") or criteria["fromBlock"])
        last = self._place(criteria.get("blockHash") or criteria["toBlock"])
        wanted = criteria.get("address")
        contracts = {wanted} if isinstance(wanted, str) else wanted and set(wanted)
        return [
            log
            for block in self._logs[first : last + 1]
            for log in block
            if (contracts is None or log["address"] in {each.lower() for each in contracts})
            and _fits(log["topics"], criteria.get("topics", []))
        ]

    def _call(self, call: Json, at: Any) -> str | Error:
        place = self._place(at)
        if "to" in call or place >= len(self._blocks):
            return Error("execution reverted")
        found = balance_calls.answer(call["data"], self._coins[place], self._tokens[place])
        return found if found is not None else Error("execution reverted")


def _log(log: Log, transaction: Mapping[str, Any], index: int) -> Json:
    return {
        "address": log.address,
        "topics": [*log.topics],
        "data": log.data,
        "blockHash": transaction["blockHash"],
        "blockNumber": transaction["blockNumber"],
        "transactionHash": transaction["hash"],
        "transactionIndex": transaction["transactionIndex"],
        "logIndex": hex(index if log.index is None else log.index),
        "removed": False,
    }


def _receipt(sent: Sent, transaction: Mapping[str, Any], logs: Sequence[Json]) -> Json:
    return {
        "transactionHash": transaction["hash"],
        **{name: transaction[name] for name in ("blockHash", "blockNumber", "transactionIndex", "type", "from", "to")},
        "status": "0x1" if sent.succeeded else "0x0",
        "gasUsed": "0x5208",
        "cumulativeGasUsed": "0x5208",
        "effectiveGasPrice": transaction["gasPrice"],
        "logs": [*logs],
        "logsBloom": f"0x{bloom.of_logs(logs):0512x}",
        "contractAddress": None,
        **sent.receipt,
    }


def _fits(topics: Sequence[str], wanted: Sequence[Any]) -> bool:
    """Tell whether a log's topics fit a filter: at each place any, one, or one of several (eth_getLogs)."""
    if len(topics) < len(wanted):
        return False
    return all(
        each is None or topic == each or (isinstance(each, list) and topic in each)
        for topic, each in zip(topics, wanted, strict=False)
    )


def _keccak(content: bytes) -> str:
    return "0x" + keccak_256(content).hex()


def _hash(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()

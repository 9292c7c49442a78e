"""Decode a node's JSON into headers, transfers and receipts.

Nodes are distrusted: an answer that doesn't fit its question raises ProviderFailed. What only one transaction or log of
an answer lacks is `Strange`: the caller decides whether to skip it (`chain.evm.doubts`). Nothing is requested here.
"""

import re
from binascii import unhexlify
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from crypto_checkout.chain.rpc.providers import Refused, quantity
from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.contracts import COLLECTED_TOPIC
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak256("Transfer(address,address,uint256)"), the event of ERC-20."""

MOST = 2**53 - 1
"""Above any block or log number, and exact in every JSON reader."""

_HASH = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_PADDED_ADDRESS = re.compile(r"0x0{24}[0-9a-f]{40}")

# Words of geth, erigon, nethermind, besu, reth, nitro and of the services before them.
_OLD_STATE = re.compile(
    r"missing trie node|prun|archiv|histor|no state|missing state|too old|older than|state recreation"
    r"|distance to target|(state|snapshot|root).{0,60}(not |un|in)(available|found|accessible)|out of range"
)
_NO_METHOD = re.compile(r"method.{0,60}(not|un)|not (supported|allowed|enabled|implemented)|unsupported|disabled")
_NO_TAG = re.compile(
    r"\btag|invalid (argument|param|block|hex|input)|hex string|unmarshal|pars|unsupported|not supported|expected"
    r"|unknown block (number|param)"
)

_TRANSFER_TOPICS = 3  # the event, from, to
_COLLECTED_TOPICS = 3  # the event, destination, token
_WORD_BYTES = 32
_KNOWN_TYPES = range(5)  # legacy, and EIP-2930, 1559, 4844, 7702


class Strange(ProviderFailed):
    """One transaction or log that can't be read. `subject` is its hash, `reason` is the same for all of its kind.

    It `is_foreign` if it is a transaction of a type that Ethereum doesn't know, which may lack anything.
    """

    def __init__(self, subject: str, reason: str, detail: str = "", *, is_foreign: bool = False) -> None:
        super().__init__(f"{subject}: {reason}{detail and f' ({detail})'}")
        self.subject = subject
        self.reason = reason
        self.is_foreign = is_foreign


Skip = Callable[[Sequence[Strange]], None]
"""Decides about what can't be read: returns to have it skipped, or raises."""


def refuse(found: Sequence[Strange]) -> None:
    """Raise the first of these."""
    for each in found:
        raise each


def header(answer: Any, number: int) -> Header:
    """Read the header of the block with this number."""
    if answer is None:
        raise ProviderFailed(f"block {number} is not there yet")
    if quantity(field(answer, "number")) != number:
        raise ProviderFailed(f"asked for block {number}, got another")
    try:
        time = moments.from_unix(quantity(field(answer, "timestamp")))
    except ValueError as error:
        raise ProviderFailed(f"block {number} has an impossible time") from error
    return Header(number, hash_(field(answer, "hash")), hash_(field(answer, "parentHash")), time)


def block_number(answer: Any) -> int:
    """Read a block number of plausible size."""
    number = quantity(answer)
    if number > MOST:
        raise ProviderFailed(f"{number} is no block number")
    return number


def native_transfers(answer: Any, header: Header, skip: Skip = refuse) -> list[Transfer]:
    """Read the native transfers of a block; some may have reverted."""
    found: list[Transfer] = []
    strange: list[Strange] = []
    for transaction in _transactions(answer, header):
        try:
            transfer = native_transfer(transaction, header)
        except Strange as error:
            strange.append(error)
        else:
            found += [transfer] if transfer is not None else []
    if len({transfer.tx_hash for transfer in found}) < len(found):
        raise ProviderFailed(f"block {header.number} holds a transaction twice")
    skip(strange)
    return found


def count_transactions(answer: Any, header: Header) -> int:
    """Return the number of a block's transactions."""
    return len(_transactions(answer, header))


def senders(answer: Any, header: Header) -> frozenset[Address]:
    """Read the senders of a block's transactions, as far as they name one."""
    return frozenset(sender for each in _transactions(answer, header) if (sender := _sender(each)) is not None)


def sent_by(answer: Any, header: Header, addresses: Collection[Address]) -> list[tuple[Address, dict[str, Any]]]:
    """Return the transactions of a block that these addresses sent, each with its sender."""
    sent = [(_sender(each), each) for each in _transactions(answer, header)]
    return [(sender, each) for sender, each in sent if sender is not None and sender in addresses]


def _sender(transaction: dict[str, Any]) -> Address | None:
    try:
        return address(transaction.get("from"))
    except ProviderFailed:
        return None


def _transactions(answer: Any, header: Header) -> list[dict[str, Any]]:
    transactions = field(answer, "transactions")
    if not isinstance(transactions, list) or not all(isinstance(each, dict) for each in transactions):
        raise ProviderFailed(f"block {header.number} has no list of transactions")
    return transactions


def token_transfers(
    logs: Any, header: Header, tokens: Collection[Address] | None, skip: Skip = refuse
) -> list[Transfer]:
    """Read the transfers of these tokens, or of any if None, from the logs of a block.

    An index alone identifies no log: some chains number the logs of the system's own transactions anew. So a log is a
    repetition only if its transaction and its content are the same too. Logs of one transaction that share an index and
    a receiver are one transfer of their sum, because a payment is known by its transaction and index.
    """
    if not isinstance(logs, list):
        raise ProviderFailed("expected a list of logs")
    found = [transfer for log in logs if (transfer := _token_transfer(log, header, tokens)) is not None]
    repeated = len(found) - len(set(found))
    skip([Strange(f"block {header.number}", "it holds a log twice")] if repeated else [])
    merged: dict[tuple[Any, ...], Transfer] = {}
    for each in dict.fromkeys(found):
        key = (each.tx_hash, each.log_index, each.to, each.contract)
        earlier = merged.get(key)
        merged[key] = each if earlier is None else replace(earlier, units=earlier.units + each.units)
    return [*merged.values()]


def field(value: Any, name: str) -> Any:
    """Return a member of a JSON object that must have it."""
    if not isinstance(value, dict) or name not in value:
        raise ProviderFailed(f"an answer lacks {name!r}")
    return value[name]


def hash_(value: Any) -> str:
    """Read 32 bytes; return them in lower case."""
    return _matching(_HASH, value, "a hash")


def hexadecimal(value: Any) -> bytes:
    """Read bytes of any length."""
    if isinstance(value, str) and value[:2] in {"0x", "0X"}:
        with suppress(ValueError):  # of binascii, or of characters beyond ASCII
            return unhexlify(value[2:])
    raise ProviderFailed(f"expected bytes, got {_shown(value)}")


def is_zero(value: Any) -> bool:
    """Return True if a number, or the bytes from a contract, are all zeros or empty."""
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]*", value):
        raise ProviderFailed(f"expected a hexadecimal number, got {_shown(value)}")
    return not value[2:].strip("0")


def native_transfer(transaction: Any, header: Header) -> Transfer | None:
    """Read the native transfer of a transaction; None if it moves no coins to another address. Raises Strange."""
    tx_hash = hash_(field(transaction, "hash"))
    if transaction.get("blockHash") is not None and hash_(transaction["blockHash"]) != header.hash:
        raise ProviderFailed(f"block {header.number} holds a transaction of another block")
    try:
        units = quantity(field(transaction, "value"))
        # A transaction without a receiver creates a contract.
        if not units or transaction.get("to") is None:
            return None
        sender, to = address(field(transaction, "from")), address(transaction["to"])
    except ProviderFailed as error:
        foreign = _is_foreign(transaction)
        reason = "a transaction of a foreign type" if foreign else "a transaction whose fields can't be read"
        raise Strange(tx_hash, reason, str(error), is_foreign=foreign) from error
    if to == sender:
        return None  # no balance grows
    return transfer_in(header, TransferKind.NATIVE, tx_hash, sender=sender, to=to, units=units)


def _is_foreign(transaction: dict[str, Any]) -> bool:
    kind = transaction.get("type")
    return (
        isinstance(kind, str)
        and re.fullmatch("0x[0-9a-fA-F]{1,8}", kind) is not None
        and int(kind, 16) not in _KNOWN_TYPES
    )


def transfer_in(
    header: Header,
    kind: TransferKind,
    tx_hash: str,
    *,
    sender: Address,
    to: Address,
    units: int,
    contract: Address | None = None,
    log_index: int | None = None,
) -> Transfer:
    """Make a transfer in the block of a header."""
    return Transfer(
        to=to,
        sender=sender,
        units=units,
        kind=kind,
        contract=contract,
        tx_hash=tx_hash,
        log_index=log_index,
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.time,
    )


def _token_transfer(log: Any, header: Header, tokens: Collection[Address] | None) -> Transfer | None:
    if hash_(field(log, "blockHash")) != header.hash or log.get("removed"):
        raise ProviderFailed(f"asked for the logs of block {header.number}, got one of another block")
    contract, parties = address(field(log, "address")), _parties(_topics(log))
    data = hexadecimal(field(log, "data"))
    if (tokens is not None and contract not in tokens) or parties is None or len(data) != _WORD_BYTES:
        return None
    (sender, to), units = parties, int.from_bytes(data)
    if not units or to == sender:
        return None
    tx_hash, index = hash_(field(log, "transactionHash")), block_number(field(log, "logIndex"))
    return transfer_in(
        header, TransferKind.TOKEN, tx_hash, sender=sender, to=to, units=units, contract=contract, log_index=index
    )


def collected(logs: Any, header: Header) -> list[Transfer]:
    """Read what addresses say was collected from them, from the logs of a block: `Transfer.is_in_block` explains them.

    Anybody can log this event, so what it says counts only of the address that logs it.
    """
    if not isinstance(logs, list):
        raise ProviderFailed("expected a list of logs")
    return [*dict.fromkeys(found for log in logs if (found := _collected(log, header)) is not None)]


def _collected(log: Any, header: Header) -> Transfer | None:
    if hash_(field(log, "blockHash")) != header.hash or log.get("removed"):
        raise ProviderFailed(f"asked for the logs of block {header.number}, got one of another block")
    topics = _topics(log)
    data = hexadecimal(field(log, "data"))
    if len(topics) != _COLLECTED_TOPICS or topics[0] != COLLECTED_TOPIC or len(data) != _WORD_BYTES:
        return None
    if not all(map(_PADDED_ADDRESS.fullmatch, topics[1:])):
        return None
    sender, (to, token), units = address(field(log, "address")), map(_of_topic, topics[1:]), int.from_bytes(data)
    if not units or to == sender:
        return None
    tx_hash, index = hash_(field(log, "transactionHash")), block_number(field(log, "logIndex"))
    contract = None if token == COIN else token
    return transfer_in(
        header, TransferKind.INTERNAL, tx_hash, sender=sender, to=to, units=units, contract=contract, log_index=index
    )


def _topics(log: Any) -> list[str]:
    topics = field(log, "topics")
    if not isinstance(topics, list):
        raise ProviderFailed("a log without topics")
    return [*map(hash_, topics)]


def _parties(topics: Sequence[str]) -> tuple[Address, Address] | None:
    """Return sender and receiver of an ERC-20 transfer; None for any other event.

    ERC-721's event has the same signature and a fourth topic: its third argument is a token ID, not an amount.
    """
    event, *parties = topics or [""]
    if event != TRANSFER_TOPIC or len(topics) != _TRANSFER_TOPICS or not all(map(_PADDED_ADDRESS.fullmatch, parties)):
        return None
    return _of_topic(parties[0]), _of_topic(parties[1])


def _of_topic(topic: str) -> Address:
    return Address("0x" + topic[-40:])


def address(value: Any) -> Address:
    """Read 20 bytes; return them in lower case."""
    return Address(_matching(_ADDRESS, value, "an address"))


def _matching(shape: re.Pattern[str], value: Any, kind: str) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if not shape.fullmatch(text):
        raise ProviderFailed(f"expected {kind}, got {_shown(value)}")
    return text


def _shown(value: Any) -> str:
    return repr(str(value)[:60])


def has_reverted(error: Refused) -> bool:
    """Return True if the called contract refused the call, rather than the node."""
    return "revert" in str(error)


def lacks_state(error: Refused) -> bool:
    """Return True if the node says that it no longer has the state of so old a block."""
    return _OLD_STATE.search(str(error).lower()) is not None


def lacks_method(error: Refused) -> bool:
    """Return True if the node doesn't serve the method at all."""
    return _NO_METHOD.search(str(error).lower()) is not None


def lacks_tag(error: Refused) -> bool:
    """Return True if the node doesn't know a block tag, as opposed to having no such block yet."""
    words = str(error).lower()
    return "not found" not in words and _NO_TAG.search(words) is not None


def by_block(answers: Sequence[Any], first: int, last: Header) -> dict[Header, list[Any]]:
    """Sort the logs of a range by their blocks, each dated as the last one, whose hash isn't looked at.

    Raises ProviderFailed for a log of a block that isn't in the range.
    """
    found = defaultdict[Header, list[Any]](list)
    for log in (log for logs in lists(answers) for log in logs):
        number = block_number(field(log, "blockNumber"))
        if not first <= number <= last.number:
            raise ProviderFailed(f"asked for logs up to block {last.number}, got one of block {number}")
        found[Header(number, hash_(field(log, "blockHash")), "", last.time)].append(log)
    return found


def lists(answers: Sequence[Any]) -> list[list[Any]]:
    """Read answers that must all be lists."""
    if not all(isinstance(answer, list) for answer in answers):
        raise ProviderFailed("expected a list")
    return list(answers)

"""A real chain, read through its RPC providers: heads, blocks, the transfers in them, and receipts.

Nothing is remembered here: what was processed is in the database, and `services.watcher` asks for what follows.
"""

from collections.abc import Sequence
from typing import Any

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.follow import Block, Head, Header
from crypto_checkout.core.payment import Kind, Transfer

from .rpc import Call, Rpc, quantity

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak256("Transfer(address,address,uint256)"), the event of ERC-20."""

_BATCH_BLOCKS = 10
_BALANCE_OF = "0x70a08231"


class EvmChain:
    """One chain as its providers show it.

    `finality` is "depth", or the block tag "safe" or "finalized". `tokens` are the contracts whose transfers count.
    """

    batch_blocks = _BATCH_BLOCKS

    def __init__(self, rpc: Rpc, *, tokens: Sequence[Address] = (), finality: str = "depth") -> None:
        self._rpc = rpc
        self._tokens = list(tokens)
        self._finality = finality

    async def head(self) -> Head:
        """Return the newest block number, and the final one where finality is a tag."""
        if self._finality == "depth":
            return Head(quantity(await self._rpc.call("eth_blockNumber", [])))
        number, final = await self._rpc.batch(
            [("eth_blockNumber", []), ("eth_getBlockByNumber", [self._finality, False])]
        )
        # Before the first final block there is none: nothing is final then.
        return Head(quantity(number), quantity(_field(final, "number")) if final is not None else -1)

    async def header(self, number: int) -> Header:
        """Return the header at a height. Raises ProviderFailed where the node has none."""
        return (await self.headers([number]))[0]

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights, from one node."""
        answers = await self._rpc.batch([_block_call(number, full=False) for number in numbers])
        return [_header(answer, number) for answer, number in zip(answers, numbers, strict=True)]

    async def blocks(self, first: int, last: int) -> list[Block]:
        """Return the blocks of a range with the transfers they seem to hold, oldest first, all from one node."""
        numbers = range(first, last + 1)
        answers = await self._rpc.batch([_block_call(number, full=True) for number in numbers])
        headers = [_header(answer, number) for answer, number in zip(answers, numbers, strict=True)]
        logs = await self._logs(headers)
        return [
            Block(header, (*_native_transfers(answer, header), *_token_transfers(block_logs, header)))
            for answer, header, block_logs in zip(answers, headers, logs, strict=True)
        ]

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Keep the transfers whose transaction did not revert.

        Raises:
            ChainMoved: A receipt is in another block than the transfer was found in.
            ProviderFailed: A receipt is missing.

        """
        hashes = sorted({t.tx_hash for t in transfers if t.kind is Kind.NATIVE and t.tx_hash})
        receipts = await self._rpc.batch([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes])
        by_hash = dict(zip(hashes, receipts, strict=True))
        return [t for t in transfers if t.kind is not Kind.NATIVE or _has_succeeded(by_hash[t.tx_hash], t)]

    async def used(self, addresses: Sequence[Address]) -> set[Address]:
        """Return those of the addresses that the chain has seen: with a balance, a token, or a transaction sent."""
        calls: list[Call] = []
        for address in addresses:
            calls += [("eth_getBalance", [address, "latest"]), ("eth_getTransactionCount", [address, "latest"])]
            calls += [("eth_call", [_balance_of(token, address), "latest"]) for token in self._tokens]
        answers = await self._rpc.batch(calls)
        per_address = 2 + len(self._tokens)
        return {
            address
            for place, address in enumerate(addresses)
            if any(_is_nonzero(answer) for answer in answers[place * per_address : (place + 1) * per_address])
        }

    async def read_contract(self, contract: str, data: str) -> bytes:
        """Return what a contract answers to a call. Raises ProviderFailed."""
        answer = await self._rpc.call("eth_call", [{"to": contract, "data": data}, "latest"])
        try:
            return bytes.fromhex(answer.removeprefix("0x"))
        except (AttributeError, ValueError) as error:
            raise ProviderFailed(f"expected bytes, got {str(answer)[:60]!r}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._rpc.close()

    async def _logs(self, headers: Sequence[Header]) -> list[list[Any]]:
        """Return the token transfers of each block, asked for by its hash so that no other block's can come."""
        if not self._tokens:
            return [[] for _ in headers]
        answers = await self._rpc.batch(
            [
                ("eth_getLogs", [{"blockHash": header.hash, "address": self._tokens, "topics": [TRANSFER_TOPIC]}])
                for header in headers
            ]
        )
        if not all(isinstance(answer, list) for answer in answers):
            raise ProviderFailed("expected lists of logs")
        return answers


def _block_call(number: int, *, full: bool) -> Call:
    return ("eth_getBlockByNumber", [hex(number), full])


def _balance_of(token: Address, owner: Address) -> dict[str, str]:
    return {"to": token, "data": _BALANCE_OF + owner.removeprefix("0x").rjust(64, "0")}


def _is_nonzero(answer: Any) -> bool:
    # A contract that isn't there answers "0x".
    return answer != "0x" and quantity(answer) > 0


def _field(value: Any, name: str) -> Any:
    try:
        return value[name]
    except (KeyError, TypeError, IndexError) as error:
        raise ProviderFailed(f"an answer lacks {name!r}") from error


def _hash(value: Any, name: str) -> str:
    text = _field(value, name)
    if not isinstance(text, str) or len(text) != 66:  # noqa: PLR2004 - 0x and 32 bytes
        raise ProviderFailed(f"{name!r} is no hash: {str(text)[:70]!r}")
    return text.lower()


def _address(value: Any) -> Address:
    if not isinstance(value, str) or len(value) != 42:  # noqa: PLR2004 - 0x and 20 bytes
        raise ProviderFailed(f"no address: {str(value)[:60]!r}")
    return Address(value.lower())


def _header(answer: Any, number: int) -> Header:
    if answer is None:
        raise ProviderFailed(f"block {number} is not there yet")
    if quantity(_field(answer, "number")) != number:
        raise ProviderFailed(f"asked for block {number}, got another")
    time = moments.from_unix(quantity(_field(answer, "timestamp")))
    return Header(number, _hash(answer, "hash"), _hash(answer, "parentHash"), time)


def _native_transfers(answer: Any, header: Header) -> list[Transfer]:
    found = []
    for transaction in _field(answer, "transactions"):
        to = _field(transaction, "to")
        value = quantity(_field(transaction, "value"))
        if to is None or not value:
            continue
        found.append(
            Transfer(
                to=_address(to),
                sender=_address(_field(transaction, "from")),
                units=value,
                kind=Kind.NATIVE,
                contract=None,
                tx_hash=_hash(transaction, "hash"),
                log_index=None,
                block_number=header.number,
                block_hash=header.hash,
                block_time=header.time,
            )
        )
    return found


def _token_transfers(logs: Sequence[Any], header: Header) -> list[Transfer]:
    return [transfer for log in logs if (transfer := _token_transfer(log, header)) is not None]


def _token_transfer(log: Any, header: Header) -> Transfer | None:
    topics = _field(log, "topics")
    if _hash(log, "blockHash") != header.hash or _field(log, "removed"):
        raise ChainMoved(f"a log of block {header.number} belongs to another block")
    # An ERC-721 transfer has the same signature, and its third argument indexed: no amount.
    if len(topics) != 3:  # noqa: PLR2004 - signature, from, to
        return None
    units = quantity(_field(log, "data"))
    if not units:
        return None
    return Transfer(
        to=_address("0x" + topics[2][-40:]),
        sender=_address("0x" + topics[1][-40:]),
        units=units,
        kind=Kind.TOKEN,
        contract=_address(_field(log, "address")),
        tx_hash=_hash(log, "transactionHash"),
        log_index=quantity(_field(log, "logIndex")),
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.time,
    )


def _has_succeeded(receipt: Any, transfer: Transfer) -> bool:
    if receipt is None:
        raise ProviderFailed(f"no receipt yet for {transfer.tx_hash}")
    if _hash(receipt, "blockHash") != transfer.block_hash:
        raise ChainMoved(f"{transfer.tx_hash} moved to another block")
    return quantity(_field(receipt, "status")) == 1

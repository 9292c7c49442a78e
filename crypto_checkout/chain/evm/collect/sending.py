"""Send signed transactions that collect, and look up what became of them. Nothing here can sign."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.evm.collect.survey import CALL_FAILED, Survey
from crypto_checkout.chain.rpc.failures import Throttled
from crypto_checkout.chain.rpc.providers import Ask, Refused, quantity
from crypto_checkout.chain.wallet import signing
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.chain_state import NotAccepted, SentReceipt
from crypto_checkout.core.collect.contracts import COLLECTOR
from crypto_checkout.core.collect.plan import Transaction
from crypto_checkout.core.collect.plan_file import SignedTransaction
from crypto_checkout.core.ledger.follow import Header

_NO_TIME = datetime.fromtimestamp(0, UTC)

# The words with which nodes say that they have this transaction, or one in its place.
_KNOWN = re.compile(r"already known|already imported|known transaction|nonce too low|nonce is too low", re.IGNORECASE)


class Sending(Survey):
    """Sends through the providers of one chain."""

    async def block_time(self, block_hash: str) -> datetime | None:
        """Return the time of a block; None if it isn't on the chain."""

        async def read(ask: Ask) -> datetime | None:
            (block,) = await ask([("eth_getBlockByHash", [block_hash, False])])
            if block is None:
                return None
            return datetime.fromtimestamp(quantity(decoding.field(block, "timestamp")), UTC)

        return await self._rpc.with_failover(read)

    async def nonces(self, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return transaction counts at the newest block."""

        async def read(ask: Ask) -> dict[Address, int]:
            found = await ask([("eth_getTransactionCount", [each, "latest"]) for each in addresses])
            return dict(zip(addresses, map(quantity, found), strict=True))

        return await self._rpc.with_failover(read)

    async def balance(self, address: Address) -> int:
        """Return the coin of an account at the newest block."""

        async def read(ask: Ask) -> int:
            (found,) = await ask([("eth_getBalance", [address, "latest"])])
            return quantity(found)

        return await self._rpc.with_failover(read)

    async def receipts(self, hashes: Sequence[str]) -> dict[str, SentReceipt]:
        """Return the receipts of those transactions that are in a block."""

        async def read(ask: Ask) -> dict[str, SentReceipt]:
            found = await ask([("eth_getTransactionReceipt", [each]) for each in hashes])
            return {
                tx_hash: _receipt(answer) for tx_hash, answer in zip(hashes, found, strict=True) if answer is not None
            }

        return await self._rpc.with_failover(read) if hashes else {}

    async def would_move(self, transaction: Transaction, signed: SignedTransaction) -> int:
        """Try a transaction at the newest block without sending it; return how many of its items it would move."""
        fields = _call(transaction.sender, transaction.to, transaction.data)
        fields |= {"gas": hex(transaction.gas)}
        if consents := signing.authorizations(signed):
            fields["authorizationList"] = consents
        if transaction.index is None:
            return await self._rpc.with_failover(lambda ask: _tried(ask, fields))
        # A token may answer nothing (USDT), but never false.
        return await self._rpc.with_failover(lambda ask: _tried(ask, fields, nothing=1))

    async def collects(self, sender: Address, data: bytes) -> int:
        """Try a call of the Collector at the newest block; return how many amounts it would move, 0 if it reverts."""
        return await self._rpc.with_failover(lambda ask: _tried(ask, _call(sender, COLLECTOR.address, data)))

    async def broadcast(self, signed: SignedTransaction) -> None:
        """Give a transaction to the nodes; one that they have already is no error. Raises NotAccepted."""

        async def read(ask: Ask) -> None:
            try:
                await ask([("eth_sendRawTransaction", [signed.raw])])
            except Throttled:
                raise
            except Refused as error:
                if not _KNOWN.search(str(error)):
                    raise

        try:
            await self._rpc.with_failover(read)
        except Refused as error:
            raise NotAccepted(str(error)) from error


def _call(sender: Address, to: Address, data: bytes) -> dict[str, Any]:
    return {"from": sender, "to": to, "data": "0x" + data.hex()}


async def _tried(ask: Ask, fields: dict[str, Any], nothing: int = 0) -> int:
    """Return the number that a call answers: `nothing` for an empty answer, 0 if it reverts."""
    try:
        (answer,) = await ask([("eth_call", [fields, "latest"])])
    except Throttled:
        raise
    except Refused as error:
        if CALL_FAILED.search(str(error)):
            return 0
        raise
    word = decoding.hexadecimal(answer)
    return int.from_bytes(word) if word else nothing


def _receipt(answer: Any) -> SentReceipt:
    number = decoding.block_number(decoding.field(answer, "blockNumber"))
    block = Header(number, decoding.hash_(decoding.field(answer, "blockHash")), "", _NO_TIME)
    logs = decoding.field(answer, "logs") or []
    moved = [*decoding.token_transfers(logs, block, None), *decoding.collected(logs, block)]
    fee = quantity(decoding.field(answer, "gasUsed")) * quantity(decoding.field(answer, "effectiveGasPrice"))
    if answer.get("l1Fee") is not None:
        fee += quantity(answer["l1Fee"])
    return SentReceipt(
        number,
        quantity(decoding.field(answer, "status")) == 1,
        fee,
        frozenset((each.sender, each.contract or calls.COIN) for each in moved if each.sender is not None),
    )

"""Have a provider prove that blocks hold the transfers that it, or another one, shows.

A proof holds whoever sends its parts. Where the form of a chain's blocks is known, a block without a proof is a lie or
an error, so junk can't switch proofs off; on other chains it leaves a transfer to the word of the providers.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.evm.proof.recompute import NotProven, proven_transfers
from crypto_checkout.chain.rpc.failures import Throttled
from crypto_checkout.chain.rpc.providers import Ask, Disproven, Refused, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.payment import Proof, Transfer

PROVABLE_CHAINS = frozenset(
    {
        1,  # Ethereum
        10,  # Optimism
        8453,  # Base
        42161,  # Arbitrum One
        84532,  # Base Sepolia
        421614,  # Arbitrum Sepolia
        11155111,  # Sepolia
        11155420,  # Optimism Sepolia
        31337,  # anvil and Hardhat
    }
)
"""Chains whose blocks are all of known forms: there, a block that can't be proven is not believed."""

_AT_ONCE = 8

_NO_TIME = datetime.min.replace(tzinfo=UTC)

ReadTransfers = Callable[[Ask, int, Collection[Address]], Awaitable[AbstractSet[Transfer]]]
"""Provider, block number, receivers -> the transfers to them in the block, as that provider shows it."""


async def prove(
    rpc: Rpc, transfers: Sequence[Transfer], read: ReadTransfers, is_ahead: Callable[[datetime], bool]
) -> list[Transfer]:
    """Return the transfers, each with its proof; `read` finds out who invented one.

    They are dated as their blocks are, unless that time `is_ahead` of the clock: see `chain.evm.block_times`.

    Raises:
        ProviderFailed: No provider proves a block of a provable chain, or a proven block lacks the transfer.

    """
    held = await as_held(rpc, [each for each in transfers if each.is_in_block])
    invented = [transfer for transfer, proven in held.items() if proven is None]
    if invented:
        await _refuse(rpc, invented[0], read)
    return [_with_proof(each, held.get(each), is_ahead) for each in transfers]


def _with_proof(transfer: Transfer, proven: Transfer | None, is_ahead: Callable[[datetime], bool]) -> Transfer:
    if proven is None:
        return replace(transfer, proof=Proof.UNPROVABLE)
    time = transfer.block_time if is_ahead(proven.block_time) else proven.block_time
    return replace(transfer, block_time=time, proof=Proof.PROVEN)


async def as_held(rpc: Rpc, transfers: Sequence[Transfer]) -> dict[Transfer, Transfer | None]:
    """Return each transfer as its block holds it, by a proof; None if it doesn't hold it.

    Where this chain's blocks can't be proven, the transfer is left out. Raises ProviderFailed if no provider proves a
    block of a provable chain.
    """
    by_block: defaultdict[tuple[int, str], list[Transfer]] = defaultdict(list)
    for transfer in transfers:
        by_block[transfer.block_number, transfer.block_hash].append(transfer)
    found: dict[Transfer, Transfer | None] = {}
    blocks = [*by_block.items()]
    for place in range(0, len(blocks), _AT_ONCE):
        some = blocks[place : place + _AT_ONCE]
        answers = await asyncio.gather(
            *(_held(rpc, *block, {transfer.to for transfer in claimed}) for block, claimed in some),
            return_exceptions=True,
        )
        for (_, claimed), held in zip(some, answers, strict=True):
            if isinstance(held, BaseException):
                raise held
            if held is not None:
                found |= matched(claimed, held)
    return found


def matched(claimed: Sequence[Transfer], held: AbstractSet[Transfer]) -> dict[Transfer, Transfer | None]:
    """Return each claimed transfer with the one that its block holds, which may be dated otherwise; None without one.

    A stranger can fill a block with transfers, so the work grows with their number and no faster.
    """
    undated = {replace(each, block_time=_NO_TIME): each for each in held}
    return {each: undated.get(replace(each, block_time=_NO_TIME)) for each in claimed}


async def _held(rpc: Rpc, number: int, block_hash: str, receivers: Collection[Address]) -> AbstractSet[Transfer] | None:
    """Return the transfers to `receivers` that a block holds; None if this chain's blocks can't be proven."""
    is_provable = rpc.chain_id in PROVABLE_CHAINS

    async def read(ask: Ask) -> AbstractSet[Transfer] | None:
        try:
            return await from_provider(ask, rpc.chain_id, number, block_hash, receivers)
        except (NotProven, Refused) as error:
            if is_provable or isinstance(error, Throttled):
                raise
            return None

    if is_provable:
        return await rpc.with_failover(read)
    # A proof holds whoever sends its parts, so on other chains too one provider that can suffices.
    answers = await rpc.survey(read) or [await rpc.with_failover(read)]
    return next((answer for answer in answers if answer is not None), None)


async def from_provider(
    ask: Ask, chain_id: int, number: int, block_hash: str, receivers: Collection[Address]
) -> AbstractSet[Transfer]:
    """Return the transfers to `receivers` in a block, as this provider proves it. Raises NotProven, ProviderFailed."""
    block, receipts = await _with_receipts(ask, number, block_hash)
    return await asyncio.to_thread(
        proven_transfers,
        block,
        receipts,
        number=number,
        block_hash=block_hash,
        chain_id=chain_id,
        receivers=receivers,
    )


async def _with_receipts(ask: Ask, number: int, block_hash: str) -> tuple[Any, list[Any]]:
    (block,) = await ask([("eth_getBlockByHash", [block_hash, True])])
    if block is None:
        raise ProviderFailed(f"block {number} is not there")
    try:
        (receipts,) = await ask([("eth_getBlockReceipts", [block_hash])])
    except Throttled:
        raise
    except Refused:
        receipts = None
    if not isinstance(receipts, list):
        transactions = decoding.lists([decoding.field(block, "transactions")])[0]
        receipts = await ask([("eth_getTransactionReceipt", [decoding.field(each, "hash")]) for each in transactions])
    if any(receipt is None or decoding.field(receipt, "blockHash") != block_hash for receipt in receipts):
        raise ProviderFailed(f"the receipts of block {number} are not all there")
    return block, receipts


async def _refuse(rpc: Rpc, invented: Transfer, read: ReadTransfers) -> NoReturn:
    """Let every provider rest that shows this transfer, and raise Disproven."""
    number, tx_hash = invented.block_number, invented.tx_hash
    reason = f"it shows a payment that block {number} doesn't hold: {tx_hash}"

    async def is_honest(ask: Ask) -> bool:
        if invented in await read(ask, number, {invented.to}):
            raise Disproven(reason)
        return True

    if len(await rpc.survey(is_honest)) == len(rpc.providers):
        rpc.doubt(reason)  # it tells another story by now
    raise Disproven(f"a payment was invented: block {number} doesn't hold {tx_hash}")

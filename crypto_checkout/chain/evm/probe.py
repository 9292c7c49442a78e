"""A probe of one RPC URL by itself: its chain, its newest block, its speed, and the methods it lacks."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from crypto_checkout.chain.evm import balances, decoding
from crypto_checkout.chain.evm.proof import prove
from crypto_checkout.chain.evm.proof.recompute import NotProven
from crypto_checkout.chain.rpc.failures import Throttled
from crypto_checkout.chain.rpc.providers import Ask, NodeEndpoint, Refused, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed, RecoverableError, WrongChain
from crypto_checkout.core.ledger.follow import Header

_TIMEOUT_SECONDS = 8.0
_NO_ADDRESS = Address("0x" + "00" * 20)
_NO_BLOCK = "0x" + "00" * 32
# Words in a node's refusal of a method that it doesn't have, or sells separately. A refusal for an unknown block has
# none of them.
_LACKING = re.compile(r"method|not (available|supported|allowed|enabled)|unsupported|disabled|plan|tier|upgrade|permi")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of probing one provider; its name is its host. `problem` is set if it is of no use.

    `lacks` names the missing methods that the server needs, `lacks_optional` those it can do without. `lacks_tag` tells
    that it doesn't know the block tag of the configured finality.
    """

    name: str
    problem: str | None = None
    head: Header | None = None
    milliseconds: int = 0
    lacks: tuple[str, ...] = ()
    lacks_optional: tuple[str, ...] = ()
    lacks_tag: bool = False


class Probe:
    """One provider to try out; call `close` afterwards.

    `finality` is "depth", or the block tag to ask for; `allows` limits the addresses that are connected to.
    """

    def __init__(
        self,
        chain_id: int,
        endpoint: str | NodeEndpoint,
        finality: str = "depth",
        allows: Callable[[str], bool] | None = None,
    ) -> None:
        self._finality = finality
        self._rpc = Rpc(chain_id, [endpoint], timeout_seconds=_TIMEOUT_SECONDS, allows=allows)
        self.name = self._rpc.providers[0].name

    async def run(self) -> ProbeResult:
        """Try it out. Never raises, whatever the provider does."""
        started = time.monotonic()
        try:
            head = await self._rpc.with_failover(_head)
            milliseconds = round(1000 * (time.monotonic() - started))
            chain_id = self._rpc.chain_id
            lacks, optional = await self._rpc.with_failover(lambda ask: _lacks(ask, chain_id, head))
            is_tagged = self._finality != "depth"
            lacks_tag = is_tagged and await self._rpc.with_failover(lambda ask: _lacks_tag(ask, self._finality))
        except (RecoverableError, WrongChain) as error:
            return ProbeResult(self.name, str(error).removeprefix(f"{self.name}: "))
        return ProbeResult(self.name, None, head, milliseconds, lacks, optional, lacks_tag)

    async def hash_at(self, number: int) -> str | None:
        """Return the hash of its block at a height; None if it gives none."""
        try:
            return await self._rpc.with_failover(lambda ask: _hash_at(ask, number))
        except RecoverableError:
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._rpc.close()


async def _lacks_tag(ask: Ask, tag: str) -> bool:
    try:
        await ask([("eth_getBlockByNumber", [tag, False])])
    except Refused as error:
        return decoding.lacks_tag(error)
    return False


async def _head(ask: Ask) -> Header:
    (number,) = await ask([("eth_blockNumber", [])])
    height = decoding.block_number(number)
    (block,) = await ask([("eth_getBlockByNumber", [hex(height), False])])
    return decoding.header(block, height)


async def _hash_at(ask: Ask, number: int) -> str:
    (block,) = await ask([("eth_getBlockByNumber", [hex(number), False])])
    return decoding.header(block, number).hash


async def _lacks(ask: Ask, chain_id: int, head: Header) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lacks, optional = [], []
    try:
        decoding.lists(await ask([("eth_getLogs", [{"blockHash": head.hash, "address": _NO_ADDRESS}])]))
    except Refused as error:
        lacks.append(f"eth_getLogs by block hash ({error})")
    try:
        span = {"fromBlock": hex(max(0, head.number - 1)), "toBlock": hex(head.number)}
        await ask([("eth_getLogs", [{**span, "address": _NO_ADDRESS, "topics": [decoding.TRANSFER_TOPIC]}])])
    except Refused:
        optional.append("eth_getLogs of several blocks: each block is read whole, at ten times the calls or more")
    try:
        await balances.at(ask, head, [_NO_ADDRESS])
    except ProviderFailed as error:
        lacks.append(f"eth_call of code without a contract, or eth_getBalance, for balances ({error})")
    else:
        try:
            await balances.together(ask, head, [_NO_ADDRESS])
        except Refused:
            optional.append("eth_call of code without a contract: each balance is a call of its own")
    try:
        await ask([("debug_traceBlockByHash", [_NO_BLOCK, {"tracer": "callTracer"}])])
    except Refused as error:
        if _LACKING.search(str(error).lower()):
            optional.append("debug_traceBlockByHash, which names the transactions of contracts' payments")
    unproven = await _unproven(ask, chain_id, head)
    if unproven is not None:
        (lacks if chain_id in prove.PROVABLE_CHAINS else optional).append(f"proofs of its blocks ({unproven})")
    return tuple(lacks), tuple(optional)


async def _unproven(ask: Ask, chain_id: int, head: Header) -> str | None:
    """Return the reason for which it can't prove a block; None if it can, or if that isn't there any more."""
    try:
        await prove.from_provider(ask, chain_id, head.number, head.hash, ())
    except (NotProven, Refused) as error:
        return None if isinstance(error, Throttled) else str(error)
    except ProviderFailed:
        return None
    return None

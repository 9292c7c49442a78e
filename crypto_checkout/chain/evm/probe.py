"""Try out one RPC URL by itself: does it answer, for which chain, how far is it, and can it do what is needed."""

import re
import time
from dataclasses import dataclass

from crypto_checkout.chain.evm import answers, balances
from crypto_checkout.chain.rpc.providers import Ask, Refused, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed, RecoverableError, WrongChain
from crypto_checkout.core.ledger.follow import Header

_TIMEOUT_SECONDS = 8.0
_NOBODY = Address("0x" + "00" * 20)
_NO_BLOCK = "0x" + "00" * 32
# What nodes say of a method that they don't have, or don't give to everybody; of a block that they don't know they say
# something else.
_LACKING = re.compile(r"method|not (available|supported|allowed|enabled)|unsupported|disabled|plan|tier|upgrade|permi")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one provider showed; its name is its host. `problem` says why it is of no use.

    `lacks` names what the server needs and it can't do, `lacks_optional` what would only be nice.
    """

    name: str
    problem: str | None = None
    head: Header | None = None
    milliseconds: int = 0
    lacks: tuple[str, ...] = ()
    lacks_optional: tuple[str, ...] = ()


class Probe:
    """One provider; to be closed."""

    def __init__(self, chain_id: int, url: str) -> None:
        self._rpc = Rpc(chain_id, [url], timeout_seconds=_TIMEOUT_SECONDS)
        self.name = self._rpc.providers[0].name

    async def look(self) -> ProbeResult:
        """Try it out. Never raises for what the provider does."""
        started = time.monotonic()
        try:
            head = await self._rpc.converse(_head)
            milliseconds = round(1000 * (time.monotonic() - started))
            lacks, optional = await self._rpc.converse(lambda ask: _lacks(ask, head))
        except (RecoverableError, WrongChain) as error:
            return ProbeResult(self.name, str(error).removeprefix(f"{self.name}: "))
        return ProbeResult(self.name, None, head, milliseconds, lacks, optional)

    async def hash_at(self, number: int) -> str | None:
        """Return the hash of its block at a height; None where it doesn't say."""
        try:
            return await self._rpc.converse(lambda ask: _hash_at(ask, number))
        except RecoverableError:
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._rpc.close()


async def _head(ask: Ask) -> Header:
    (number,) = await ask([("eth_blockNumber", [])])
    height = answers.block_number(number)
    (block,) = await ask([("eth_getBlockByNumber", [hex(height), False])])
    return answers.header(block, height)


async def _hash_at(ask: Ask, number: int) -> str:
    (block,) = await ask([("eth_getBlockByNumber", [hex(number), False])])
    return answers.header(block, number).hash


async def _lacks(ask: Ask, head: Header) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lacks, optional = [], []
    try:
        answers.lists(await ask([("eth_getLogs", [{"blockHash": head.hash, "address": _NOBODY}])]))
    except Refused as error:
        lacks.append(f"eth_getLogs by block hash ({error})")
    try:
        await balances.at(ask, head, [_NOBODY])
    except ProviderFailed as error:
        lacks.append(f"eth_call of code without a contract, for balances ({error})")
    try:
        await ask([("debug_traceBlockByHash", [_NO_BLOCK, {"tracer": "callTracer"}])])
    except Refused as error:
        if _LACKING.search(str(error).lower()):
            optional.append("debug_traceBlockByHash, which names the transactions of contracts' payments")
    return tuple(lacks), tuple(optional)

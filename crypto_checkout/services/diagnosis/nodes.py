"""Try the nodes of a chain before a shop relies on them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

from crypto_checkout.chain.rpc.endpoint import NodeEndpoint
from crypto_checkout.core.diagnosis.explanation import span
from crypto_checkout.core.moments import Clock

_OLD_HEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """The result for one node; `problem` is None if it works. `name` is its host, since URLs may hold access keys."""

    name: str
    block_number: int | None = None
    milliseconds: int | None = None
    problem: str | None = None


async def check(nodes: Sequence[str | NodeEndpoint], chain_id: int, clock: Clock) -> list[NodeCheck]:
    """Try all nodes at once, by URL or endpoint: their chain, their newest block, and what the server needs of them."""
    # In a thread: the first import of web3 takes a second.
    await asyncio.to_thread(import_module, "crypto_checkout.chain.evm.probe")
    return list(await asyncio.gather(*(_check(node, chain_id, clock) for node in nodes)))


async def _check(node: str | NodeEndpoint, chain_id: int, clock: Clock) -> NodeCheck:
    from crypto_checkout.chain.evm.probe import Probe

    probe = Probe(chain_id, node)
    try:
        result = await probe.run()
    finally:
        await probe.close()
    if result.head is None:
        return NodeCheck(result.name, problem=f"It is of no use now: {result.problem}.")
    problem = None
    age = clock() - result.head.time
    if result.lacks:
        problem = f"It can't do what is needed: {'; '.join(result.lacks)}."
    elif age > _OLD_HEAD:
        problem = f"Its newest block is {span(age)} old: it lags, or its chain stands still."
    return NodeCheck(result.name, result.head.number, result.milliseconds, problem)

"""Try the nodes of a chain before a shop relies on them.

What a page names may be tried by a stolen login, too. So such nodes are tried as webhooks are sent: not at private,
link-local or metadata addresses, and not at the ports of other services, unless the configuration allows it or names
the very node. The name is looked up first, for the sake of a reason in words; each connection checks its address again.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib import import_module
from urllib.parse import urlsplit

from crypto_checkout.chain.rpc.endpoint import NodeEndpoint
from crypto_checkout.core.diagnosis.explanation import span
from crypto_checkout.core.moments import Clock
from crypto_checkout.webhooks import guard
from crypto_checkout.webhooks.networks import Reach, is_web_port, refusal_within

_OLD_HEAD = timedelta(minutes=5)
_LOOK_UP_SECONDS = 5
_PORTS = {"https": 443, "http": 80}

AllowsAddress = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """The result for one node; `problem` is None if it works. `name` is its host, since URLs may hold access keys.

    `age` is the age of its newest block in words, `lacks` are the optional abilities that it doesn't have, and `behind`
    is its distance from the newest block of all the nodes that were tried.
    """

    name: str
    block_number: int | None = None
    milliseconds: int | None = None
    problem: str | None = None
    age: str | None = None
    lacks: tuple[str, ...] = ()
    newest: int | None = None

    @property
    def behind(self) -> int | None:
        """The number of blocks between its newest one and the newest of all."""
        return None if self.newest is None or self.block_number is None else self.newest - self.block_number


class NodeTrial:
    """Tries nodes that a page names, within `reach`; `configured` ones may be anywhere."""

    def __init__(self, clock: Clock, reach: Reach, configured: Sequence[NodeEndpoint]) -> None:
        self._clock = clock
        self._reach = reach
        self._configured = frozenset(each.name for each in configured)

    async def run(self, urls: Sequence[str], chain_id: int) -> list[NodeCheck]:
        """Try these URLs, all at once."""
        await _load()
        return _compared(await asyncio.gather(*(self._check(url, chain_id) for url in urls)))

    async def _check(self, url: str, chain_id: int) -> NodeCheck:
        node = NodeEndpoint(url)
        if self._reach is Reach.ANY or node.name in self._configured:
            return await _check(node, chain_id, self._clock)
        problem = await self._refusal(url)
        if problem is not None:
            return NodeCheck(node.name, problem=problem)
        return await _check(node, chain_id, self._clock, partial(_is_within, self._reach))

    async def _refusal(self, url: str) -> str | None:
        """Return the reason why a URL isn't tried from here; None if it is."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        if not is_web_port(port):
            return f"It isn't tried from here: port {port} belongs to another service. {_OTHERWISE}"
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                addresses = [host] if _is_literal(host) else await guard.resolve(host, port)
        except (guard.NameNotResolved, TimeoutError):
            return f"The name {host} has no address."
        kinds = (refusal_within(self._reach, ipaddress.ip_address(each)) for each in addresses)
        kind = next((each for each in kinds if each is not None), None)
        return None if kind is None else f"It isn't tried from here: its address is {kind}. {_OTHERWISE}"


_OTHERWISE = (
    "Put it into checkout.toml and run crypto-checkout doctor on the server, or set webhooks.allow_private_networks."
)


async def check(nodes: Sequence[str | NodeEndpoint], chain_id: int, clock: Clock) -> list[NodeCheck]:
    """Try configured nodes, all at once: their chain, their newest block, and what the server needs of them."""
    await _load()
    return _compared(await asyncio.gather(*(_check(node, chain_id, clock) for node in nodes)))


async def _load() -> None:
    # In a thread: the first import of web3 takes a second.
    await asyncio.to_thread(import_module, "crypto_checkout.chain.evm.probe")


async def _check(
    node: str | NodeEndpoint, chain_id: int, clock: Clock, allows: AllowsAddress | None = None
) -> NodeCheck:
    from crypto_checkout.chain.evm.probe import Probe

    probe = Probe(chain_id, node, allows=allows)
    try:
        result = await probe.run()
    finally:
        await probe.close()
    if result.head is None:
        return NodeCheck(result.name, problem=f"It can't be used: {result.problem}.")
    problem = None
    age = clock() - result.head.time
    if result.lacks:
        problem = f"It can't do what is needed: {'; '.join(result.lacks)}."
    elif age > _OLD_HEAD:
        problem = f"Its newest block is {span(age)} old: it lags, or its chain stands still."
    return NodeCheck(
        result.name,
        result.head.number,
        result.milliseconds,
        problem,
        span(max(age, timedelta())),
        result.lacks_optional,
    )


def _compared(checks: Sequence[NodeCheck]) -> list[NodeCheck]:
    newest = max((each.block_number for each in checks if each.block_number is not None), default=None)
    return [
        NodeCheck(each.name, each.block_number, each.milliseconds, each.problem, each.age, each.lacks, newest)
        for each in checks
    ]


def _is_within(reach: Reach, address: str) -> bool:
    return refusal_within(reach, ipaddress.ip_address(address.partition("%")[0])) is None


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

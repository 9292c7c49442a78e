"""JSON-RPC to the providers of one chain: the choice of a provider, and failover to the next.

Answers stay raw JSON, because decoding a block into web3's own types costs as much again as fetching it. One provider
is asked through `chain.rpc.provider`; answers are decoded in `chain.evm.decoding`.
"""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from crypto_checkout.chain.rpc.answers import Call
from crypto_checkout.chain.rpc.endpoint import NodeEndpoint
from crypto_checkout.chain.rpc.failures import Disproven, Refused, TimedOut, Unsupported
from crypto_checkout.chain.rpc.meter import Meter
from crypto_checkout.chain.rpc.pace import ProviderPace
from crypto_checkout.chain.rpc.provider import ALONE, BESIDE_OTHERS, MOST_CALLS, Ask, Conversation, Provider, Sleep
from crypto_checkout.chain.rpc.transport import AllowsAddress, Transport
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, StateUnavailable, WrongChain
from crypto_checkout.log import get_logger

__all__ = [
    "MOST_CALLS",
    "Ask",
    "Call",
    "Disproven",
    "NodeEndpoint",
    "ProviderHealth",
    "Refused",
    "Rpc",
    "Unsupported",
    "quantity",
]

log = get_logger("rpc")

Answer = TypeVar("Answer")

_TIMEOUT_SECONDS = 20
_HEDGE_SECONDS = 2.0
_LAGGARD_PAUSE_SECONDS = 60.0
_LAG_BLOCKS = 2
_TRUST_SECONDS = 60.0
_WRONG_CHAIN = "its nodes serve another chain"

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """A provider's health, to be shown: `failures` in a row; while it is resting, the others are preferred."""

    name: str
    failures: int
    is_resting: bool
    last_error: str | None


class Rpc:
    """The providers of one chain, in the order of preference; each call goes to the first that answers.

    `endpoints` are URLs, or endpoints with headers. Once a provider has been silent for `hedge_seconds`, the next one
    is asked as well. `clock` is monotonic; `jitter` returns numbers from 0 to 1. `allows` limits the addresses that are
    connected to.
    """

    def __init__(
        self,
        chain_id: int,
        endpoints: Sequence[str | NodeEndpoint],
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        hedge_seconds: float = _HEDGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Sleep = asyncio.sleep,
        allows: AllowsAddress | None = None,
    ) -> None:
        self.chain_id = chain_id
        self.meter = Meter(chain_id)
        named = [NodeEndpoint(each) if isinstance(each, str) else each for each in endpoints]
        transports = [
            Transport(each, timeout_seconds=timeout_seconds, meter=self.meter, allows=allows) for each in named
        ]
        self.providers = [Provider(each.name, each, ProviderPace(clock)) for each in transports]
        self._hedge_seconds = hedge_seconds
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep

    async def with_failover(self, read: Callable[[Ask], Awaitable[Answer]]) -> Answer:
        """Return the result of `read` with one provider; if it raises ProviderFailed, try it with the next one.

        So an answer that makes no sense counts as a failure, just as no answer does. Other errors pass through. While a
        provider is silent, the next one is tried beside it, and the first result is taken.

        Raises:
            StateUnavailable: All that answered lack the state of so old a block, which is no fault of theirs.
            Refused: All that don't lack the state refused to serve it.
            ProviderFailed: No provider succeeded; the message gives the reason of each.

        """
        failed = _Failures()
        waiting = self._willing(failed)
        talks: dict[asyncio.Task[Answer], Conversation] = {}
        has_more = True
        try:
            while talks or self._begin(read, waiting, talks):
                pause = self._until_hedge(talks) if has_more else None
                done, _ = await asyncio.wait(talks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if not done and self._until_hedge(talks) <= 0:
                    has_more = self._begin(read, waiting, talks)
                for task in done:
                    talk = talks.pop(task)
                    try:
                        answer = task.result()
                    except (ProviderFailed, WrongChain) as error:
                        self._note(talk, error, failed)
                    else:
                        talk.provider.succeeded()
                        self._rest_silent(talks.values())
                        return answer
        finally:
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
        raise failed.together(self.chain_id)

    def _willing(self, failed: "_Failures") -> Iterator[Provider]:
        """Yield the providers to ask, in order; one that asked to be left alone isn't asked."""
        for provider in self._in_order():
            left = provider.left_alone_until - self._clock()
            if left > 0:
                reason = f"{provider.last_error}; it asked to be left alone for another {left:.0f} s"
                failed.add(provider.name, reason, provider.last_cause)
            else:
                yield provider

    def _begin(
        self,
        read: Callable[[Ask], Awaitable[Answer]],
        waiting: Iterator[Provider],
        talks: dict[asyncio.Task[Answer], Conversation],
    ) -> bool:
        """Begin to read from the next provider; return False if there is none."""
        provider = next(waiting, None)
        if provider is None:
            return False
        now = self._clock()
        is_alone = all(each is provider or each.paused_until > now for each in self.providers)
        talk = self._conversation(provider, is_alone=is_alone)
        talks[asyncio.ensure_future(self._read(talk, read))] = talk
        return True

    def _conversation(self, provider: Provider, *, is_alone: bool) -> Conversation:
        patience = ALONE if is_alone else BESIDE_OTHERS
        return Conversation(provider, patience, clock=self._clock, sleep=self._sleep, jitter=self._jitter)

    def _until_hedge(self, talks: dict[asyncio.Task[Answer], Conversation]) -> float:
        """Return the seconds until every provider that is asked has been silent for too long."""
        return max(self._hedge_seconds - min(talk.silent_seconds() for talk in talks.values()), 0)

    def _rest_silent(self, talks: Iterable[Conversation]) -> None:
        """Let those rest that kept silent until another one had answered."""
        for talk in talks:
            if talk.silent_seconds() >= self._hedge_seconds:
                error = TimedOut(f"no answer within {self._hedge_seconds:g} s, while another provider gave one")
                self._failed(talk, error)

    async def _read(self, talk: Conversation, read: Callable[[Ask], Awaitable[Answer]]) -> Answer:
        await self._check_chain(talk)
        return await read(talk.ask)

    def _note(self, talk: Conversation, error: ProviderFailed | WrongChain, failed: "_Failures") -> None:
        provider = talk.provider
        if isinstance(error, StateUnavailable | Unsupported):
            provider.succeeded()
            failed.add(provider.name, provider.transport.redacted(error), error.cause)
            failed.lacking += isinstance(error, StateUnavailable)
        else:
            failed.add(provider.name, self._failed(talk, error), provider.last_cause)
            failed.refused += isinstance(error, Refused)

    def health(self) -> list[ProviderHealth]:
        """Return the health of each provider, in the configured order."""
        now = self._clock()
        return [ProviderHealth(p.name, p.failures, p.paused_until > now, p.last_error) for p in self.providers]

    async def survey(self, read: Callable[[Ask], Awaitable[Answer]]) -> list[Answer]:
        """Return the result of `read` with each provider; those that fail are left out."""
        found = await asyncio.gather(*(self._read_one(provider, read) for provider in self.providers))
        return [answer for answers in found for answer in answers]

    async def newest(self) -> int | None:
        """Ask every provider for its newest block, let laggards rest, and return the highest number.

        A provider that has stopped following the chain still answers, with old blocks. Returns None if none answers.
        """
        found = await asyncio.gather(*(self._read_one(provider, _number) for provider in self.providers))
        numbers = [answers[0] if answers else None for answers in found]
        newest = max((number for number in numbers if number is not None), default=None)
        for provider, number in zip(self.providers, numbers, strict=True):
            if newest is not None and number is not None and number <= newest - _LAG_BLOCKS:
                reason = f"it is {newest - number} blocks behind the others"
                provider.failed(reason, self._clock(), at_least_seconds=_LAGGARD_PAUSE_SECONDS, jitter=self._jitter())
                log.warning("a provider lags", chain=self.chain_id, provider=provider.name, blocks=newest - number)
        return newest

    def doubt(self, reason: str) -> None:
        """Let the preferred provider rest, because its answers contradict earlier ones."""
        if len(self.providers) > 1:
            provider = self._in_order()[0]
            provider.failed(reason, self._clock(), at_least_seconds=_LAGGARD_PAUSE_SECONDS, jitter=self._jitter())
            log.warning("a provider is doubted", chain=self.chain_id, provider=provider.name, error=reason)

    async def close(self) -> None:
        """Close the connections."""
        for provider in self.providers:
            await provider.transport.disconnect()

    async def _read_one(self, provider: Provider, read: Callable[[Ask], Awaitable[Answer]]) -> list[Answer]:
        """Return a list of a provider's answer, empty if it fails."""
        if provider.left_alone_until > self._clock():
            return []
        talk = self._conversation(provider, is_alone=True)
        try:
            return [await self._read(talk, read)]
        except (StateUnavailable, Unsupported, ChainMoved):
            return []
        except (ProviderFailed, WrongChain) as error:
            self._failed(talk, error)
            return []

    def _failed(self, talk: Conversation, error: ProviderFailed | WrongChain) -> str:
        """Record a failure, once for all that were under way when it happened; return its reason without secrets."""
        provider = talk.provider
        reason = provider.transport.redacted(error)
        if isinstance(error, WrongChain) and provider.last_error != reason:
            log.error("a provider is refused", chain=self.chain_id, provider=provider.name, error=reason)
        provider.last_cause = error.cause if isinstance(error, ProviderFailed) else _WRONG_CHAIN
        if talk.began_at >= provider.failed_at:
            provider.failed_with(error, reason, self._clock(), jitter=self._jitter())
        return reason

    def _in_order(self) -> list[Provider]:
        """Return the providers, those that aren't paused first; a paused one is still better than none."""
        now = self._clock()
        return sorted(self.providers, key=lambda provider: max(0.0, provider.paused_until - now))

    async def _check_chain(self, talk: Conversation) -> None:
        """Verify a provider's chain ID once a minute: crediting another chain's money is the worst mistake."""
        now = self._clock()
        if now < talk.provider.trusted_until:
            return
        (answer,) = await talk.ask([("eth_chainId", [])])
        served = quantity(answer)
        if served != self.chain_id:
            raise WrongChain(f"it serves chain {served}, not {self.chain_id}: correct its URL in rpc_urls")
        talk.provider.trusted_until = now + _TRUST_SECONDS


class _Failures:
    """The failures of the providers that were asked."""

    def __init__(self) -> None:
        self.lacking = self.refused = 0
        self._reasons: list[str] = []
        self._causes: dict[str, None] = {}

    def add(self, name: str, reason: str, cause: str) -> None:
        self._reasons.append(f"{name}: {reason}")
        self._causes[cause] = None

    def together(self, chain_id: int) -> ProviderFailed:
        """Return the error that tells them all."""
        kind: type[ProviderFailed] = ProviderFailed
        if self._reasons and self.lacking + self.refused == len(self._reasons):
            kind = Refused if self.refused else StateUnavailable
        failure = kind("; ".join(self._reasons) or f"no provider is configured for chain {chain_id}")
        failure.cause = "; ".join(self._causes) or failure.cause
        return failure


def quantity(value: Any) -> int:
    """Read a JSON-RPC quantity (`"0x1a"`), at most 256 bits. Raises ProviderFailed for anything else."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise ProviderFailed(f"expected a hexadecimal number, got {str(value)[:60]!r}")


async def _number(ask: Ask) -> int:
    (number,) = await ask([("eth_blockNumber", [])])
    return quantity(number)

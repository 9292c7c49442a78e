"""JSON-RPC to the providers of one chain: the choice of a provider, and failover to the next.

Answers stay raw JSON, because decoding a block into web3's own types costs as much again as fetching it. One provider
is reached through `chain.rpc.transport`; answers are decoded in `chain.evm.decoding`.
"""

import asyncio
import functools
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from web3.types import RPCEndpoint, RPCResponse

from crypto_checkout.chain.rpc.meter import Meter
from crypto_checkout.chain.rpc.transport import NoAnswer, Transport
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, StateUnavailable, WrongChain
from crypto_checkout.log import get_logger

log = get_logger("rpc")

Call = tuple[str, list[Any]]

Ask = Callable[[Sequence[Call]], Awaitable[list[Any]]]
"""Calls to one provider -> their results, in their order. Raises ProviderFailed."""

Answer = TypeVar("Answer")

MOST_CALLS = 100
"""The most calls in one request."""

_TIMEOUT_SECONDS = 20
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_MOST_DOUBLINGS = 6
_MOST_JITTER = 0.25
_LONGEST_WAIT_SECONDS = 600.0
_LAGGARD_PAUSE_SECONDS = 60.0
_LAG_BLOCKS = 2
_TRUST_SECONDS = 60.0

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")


class Refused(ProviderFailed):
    """The provider answered a call with an error of its own: it can't, or won't, serve it."""


class Unsupported(ProviderFailed):
    """The provider lacks an optional method: the next one is asked, and this one is not blamed."""


class Disproven(ProviderFailed):
    """The provider's answer is proven wrong: it rests for a minute."""


@dataclass(slots=True)
class Provider:
    """One RPC URL and its health; `name` is its host only, since URLs carry access keys.

    Times are by the clock of its `Rpc`. Until `trusted_until` its chain ID needs no check; `batch_calls` is the most
    calls that it takes in one request.
    """

    url: str = field(repr=False)
    name: str
    transport: Transport = field(repr=False)
    failures: int = 0
    paused_until: float = 0.0
    last_error: str | None = None
    trusted_until: float = 0.0
    batch_calls: int = MOST_CALLS

    def failed(self, reason: str, now: float, *, at_least_seconds: float = 0, jitter: float = 0) -> None:
        """Record a failure; each one in a row doubles the pause before this provider is preferred again.

        `jitter`, from 0 to 1, lengthens the pause by up to a quarter, so that many callers don't come back together.
        """
        self.failures += 1
        self.last_error = reason
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self.failures - 1, _MOST_DOUBLINGS))
        pause *= 1 + _MOST_JITTER * jitter
        self.paused_until = now + max(pause, min(at_least_seconds, _LONGEST_WAIT_SECONDS))
        # Another node may come back under this URL.
        self.trusted_until = 0.0
        self.batch_calls = MOST_CALLS

    def succeeded(self) -> None:
        """Record an answer."""
        self.failures = 0
        self.paused_until = 0.0
        self.last_error = None


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """A provider's health, to be shown: `failures` in a row; while it is resting, the others are preferred."""

    name: str
    failures: int
    is_resting: bool
    last_error: str | None


class Rpc:
    """The providers of one chain, in the order of preference; each call goes to the first that answers.

    `clock` is monotonic; `jitter` returns numbers from 0 to 1.
    """

    def __init__(
        self,
        chain_id: int,
        urls: Sequence[str],
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.chain_id = chain_id
        self.meter = Meter(chain_id)
        transports = [Transport(url, timeout_seconds=timeout_seconds, meter=self.meter) for url in urls]
        self.providers = [Provider(url, each.name, each) for url, each in zip(urls, transports, strict=True)]
        self._clock = clock
        self._jitter = jitter

    async def with_failover(self, read: Callable[[Ask], Awaitable[Answer]]) -> Answer:
        """Return the result of `read` with one provider; if it raises ProviderFailed, try it with the next one.

        So an answer that makes no sense counts as a failure, just as no answer does. Other errors pass through.

        Raises:
            StateUnavailable: All that answered lack the state of so old a block, which is no fault of theirs.
            Refused: All that don't lack the state refused to serve it.
            ProviderFailed: No provider succeeded; the message gives the reason of each.

        """
        reasons, lacking, refused = [], 0, 0
        for provider in self._in_order():
            try:
                await self._check_chain(provider)
                answer = await read(functools.partial(_ask, provider))
            except (StateUnavailable, Unsupported) as error:
                provider.succeeded()
                lacking += isinstance(error, StateUnavailable)
                reasons.append(f"{provider.name}: {provider.transport.redacted(error)}")
            except (ProviderFailed, WrongChain) as error:
                refused += isinstance(error, Refused)
                reasons.append(f"{provider.name}: {self._failed(provider, error)}")
            else:
                provider.succeeded()
                return answer
        failure: type[ProviderFailed] = ProviderFailed
        if reasons and lacking + refused == len(reasons):
            failure = Refused if refused else StateUnavailable
        raise failure("; ".join(reasons) or f"no provider is configured for chain {self.chain_id}")

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
        try:
            await self._check_chain(provider)
            return [await read(functools.partial(_ask, provider))]
        except (StateUnavailable, Unsupported, ChainMoved):
            return []
        except (ProviderFailed, WrongChain) as error:
            self._failed(provider, error)
            return []

    def _failed(self, provider: Provider, error: ProviderFailed | WrongChain) -> str:
        """Record a failure; return its reason without secrets."""
        reason = provider.transport.redacted(error)
        if isinstance(error, WrongChain) and provider.last_error != reason:
            log.error("a provider is refused", chain=self.chain_id, provider=provider.name, error=reason)
        pause = error.retry_after_seconds if isinstance(error, NoAnswer) else 0
        if isinstance(error, Disproven):
            pause = _LAGGARD_PAUSE_SECONDS
        provider.failed(reason, self._clock(), at_least_seconds=pause, jitter=self._jitter())
        return reason

    def _in_order(self) -> list[Provider]:
        """Return the providers, those that aren't paused first; a paused one is still better than none."""
        now = self._clock()
        return sorted(self.providers, key=lambda provider: max(0.0, provider.paused_until - now))

    async def _check_chain(self, provider: Provider) -> None:
        """Verify a provider's chain ID once a minute: crediting another chain's money is the worst mistake."""
        now = self._clock()
        if now < provider.trusted_until:
            return
        (answer,) = await _ask(provider, [("eth_chainId", [])])
        served = quantity(answer)
        if served != self.chain_id:
            raise WrongChain(f"it serves chain {served}, not {self.chain_id}: correct its URL in rpc_urls")
        provider.trusted_until = now + _TRUST_SECONDS


def quantity(value: Any) -> int:
    """Read a JSON-RPC quantity (`"0x1a"`), at most 256 bits. Raises ProviderFailed for anything else."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise ProviderFailed(f"expected a hexadecimal number, got {str(value)[:60]!r}")


async def _number(ask: Ask) -> int:
    (number,) = await ask([("eth_blockNumber", [])])
    return quantity(number)


async def _ask(provider: Provider, calls: Sequence[Call]) -> list[Any]:
    """Return the results of any number of calls, in requests of a size that the provider accepts."""
    results: list[Any] = []
    while len(results) < len(calls):
        some = calls[len(results) : len(results) + provider.batch_calls]
        answered = await _ask_together(provider, some)
        results += answered
        if len(answered) < len(some):
            # The next call failed within the batch: sent alone, it is answered, or the answer gives the reason.
            results.append(await _ask_alone(provider, some[len(answered)]))
    return results


async def _ask_together(provider: Provider, calls: Sequence[Call]) -> list[Any]:
    """Return the results of the calls up to the first that fails, from one request."""
    if len(calls) == 1:
        return []
    requests = [(RPCEndpoint(method), params) for method, params in calls]
    try:
        answers = await provider.transport.make_batch_request(requests)
    except NoAnswer:
        raise
    except ProviderFailed:
        # Nodes limit the size of a batch, or of its answer, and report that in many ways. Some take no batch at all.
        provider.batch_calls = max(1, len(calls) // 2)
        return []
    results = []
    for answer in answers:
        if not _has_result(answer):
            break
        results.append(answer["result"])
    return results


async def _ask_alone(provider: Provider, call: Call) -> Any:
    method, params = call
    answer = await provider.transport.make_request(RPCEndpoint(method), params)
    if _has_result(answer):
        return answer["result"]
    error: Any = answer.get("error")
    if error is None:
        raise ProviderFailed("an answer with neither a result nor an error")
    message = error.get("message") if isinstance(error, dict) else error
    raise Refused(f"refused: {message}")


def _has_result(answer: RPCResponse) -> bool:
    return answer.get("error") is None and "result" in answer

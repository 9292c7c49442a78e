"""JSON-RPC to the providers of one chain: which one is asked, and when the next one is.

Raw requests of web3's provider, because decoding a block into web3's own types costs as much again as fetching it.
What the answers mean is in `chain.evm`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientTimeout
from eth_typing import URI
from web3 import AsyncHTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from crypto_checkout.core.errors import ProviderFailed, WrongChain

Call = tuple[str, list[Any]]

_TIMEOUT_SECONDS = 20
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0

_FAULTS = (ClientError, TimeoutError, OSError, Web3Exception, ValueError, KeyError, TypeError, AttributeError)
"""What a broken, slow or lying provider makes web3 raise: transport errors, and garbage in any shape."""


@dataclass(slots=True)
class Provider:
    """One RPC URL and how it fares; `name` is its host only, since URLs carry access keys."""

    url: str
    name: str
    transport: AsyncHTTPProvider
    chain_checked: bool = False
    failures: int = 0
    paused_until: float = 0.0
    last_error: str | None = field(default=None)

    def failed(self, reason: str) -> None:
        """Note a failure; each one in a row doubles the pause before this provider is preferred again."""
        self.failures += 1
        self.last_error = reason
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (self.failures - 1))
        self.paused_until = time.monotonic() + pause

    def succeeded(self) -> None:
        """Note an answer."""
        self.failures = 0
        self.paused_until = 0.0
        self.last_error = None


class Rpc:
    """The providers of one chain, in the order of preference; each call goes to the first that answers."""

    def __init__(self, chain_id: int, urls: Sequence[str]) -> None:
        self.chain_id = chain_id
        self.providers = [Provider(url, _host(url), _transport(url)) for url in urls]

    async def call(self, method: str, params: list[Any]) -> Any:
        """Return the result of one call. Raises ProviderFailed when no provider gave one."""
        (result,) = await self.batch([(method, params)])
        return result

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of several calls, all from the same provider, in their order.

        Raises:
            ProviderFailed: No provider answered all of them; the message says why, for each.

        """
        if not calls:
            return []
        reasons = []
        for provider in self._in_order():
            try:
                await self._check_chain(provider)
                results = await _ask(provider, calls)
            except WrongChain as error:
                reasons.append(str(error))
            except ProviderFailed as error:
                provider.failed(str(error))
                reasons.append(f"{provider.name}: {error}")
            else:
                provider.succeeded()
                return results
        raise ProviderFailed("; ".join(reasons))

    async def close(self) -> None:
        """Close the connections."""
        for provider in self.providers:
            await provider.transport.disconnect()

    def _in_order(self) -> list[Provider]:
        """Those that aren't paused first; a paused one is still better than none."""
        now = time.monotonic()
        return sorted(self.providers, key=lambda provider: max(0.0, provider.paused_until - now))

    async def _check_chain(self, provider: Provider) -> None:
        """Ask a provider once which chain it serves: crediting another chain's money would be the worst mistake."""
        if provider.chain_checked:
            return
        (answer,) = await _ask(provider, [("eth_chainId", [])])
        served = quantity(answer)
        if served != self.chain_id:
            message = f"{provider.name} serves chain {served}, not {self.chain_id}: correct its URL in rpc_urls"
            provider.failed(message)
            raise WrongChain(message)
        provider.chain_checked = True


def quantity(value: Any) -> int:
    """Read a JSON-RPC quantity (`"0x1a"`). Raises ProviderFailed for anything else."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise ProviderFailed(f"expected a hexadecimal number, got {str(value)[:60]!r}")


async def _ask(provider: Provider, calls: Sequence[Call]) -> list[Any]:
    try:
        if len(calls) == 1:
            method, params = calls[0]
            answers = [await provider.transport.make_request(RPCEndpoint(method), params)]
        else:
            batch = await provider.transport.make_batch_request([(RPCEndpoint(m), p) for m, p in calls])
            if not isinstance(batch, list):
                _refuse(batch)
            answers = batch
        if len(answers) != len(calls):
            raise ProviderFailed(f"{len(answers)} answers to {len(calls)} calls")
        return [_result(answer) for answer in answers]
    except _FAULTS as error:
        raise ProviderFailed(_reason(error)) from error


def _result(answer: Any) -> Any:
    if "error" in answer or "result" not in answer:
        _refuse(answer)
    return answer["result"]


def _refuse(answer: Any) -> NoReturn:
    error = answer.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    raise ProviderFailed(f"refused: {str(message)[:200]}")


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT_SECONDS} s"
    status = getattr(error, "status", None)
    if status is not None:
        return f"HTTP {status}"
    if isinstance(error, ClientError | OSError):
        return "can't connect, or the connection broke"
    return f"unusable answer ({type(error).__name__})"


def _transport(url: str) -> AsyncHTTPProvider:
    # Retrying is decided here, not in web3: the next provider is better than the same one again.
    return AsyncHTTPProvider(
        URI(url),
        request_kwargs={"timeout": ClientTimeout(total=_TIMEOUT_SECONDS)},
        exception_retry_configuration=None,
    )


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

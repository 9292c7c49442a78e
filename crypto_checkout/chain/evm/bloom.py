"""The bloom filter in a block's header: a test for events in its logs (Yellow Paper, section 4.4.1).

It has no false negatives. So a node that answers "no logs" where the filter says "perhaps" has to prove it.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from crypto_checkout.chain.evm.decoding import field, hexadecimal
from crypto_checkout.core.address import keccak_256
from crypto_checkout.core.errors import ProviderFailed

_BITS = 2048
_FULL = (1 << _BITS) - 1


def of_header(answer: Any) -> int:
    """Return the filter of a block as a number; 0, which matches no event, for a chain without a usable one."""
    text = answer.get("logsBloom") if isinstance(answer, dict) else None
    content = hexadecimal(text) if text is not None else b""
    bloom = int.from_bytes(content)
    return bloom if len(content) * 8 == _BITS and bloom != _FULL else 0


def of_event(contract: str, topic: str) -> int:
    """Return the bits that are set in each block where this contract logs this event."""
    return _bits(contract) | _bits(topic)


def of_topic(topic: str) -> int:
    """Return the bits that are set in each block where some contract logs this event."""
    return _bits(topic)


def may_hold(bloom: int, event: int) -> bool:
    """Return True if the logs of a block may hold an event; always True if they do, seldom if they don't."""
    return bloom & event == event


def of_logs(logs: Iterable[Any]) -> int:
    """Return the filter of these logs. Raises ProviderFailed for a malformed log."""
    bloom = 0
    for log in logs:
        topics = field(log, "topics")
        if not isinstance(topics, list):
            raise ProviderFailed("a log without topics")
        for item in (field(log, "address"), *topics):
            bloom |= _bits(item if isinstance(item, str) else "")
    return bloom


@lru_cache(maxsize=4096)
def _bits(item: str) -> int:
    fingerprint = keccak_256(hexadecimal(item))
    return sum({1 << (int.from_bytes(fingerprint[place : place + 2]) % _BITS) for place in (0, 2, 4)})

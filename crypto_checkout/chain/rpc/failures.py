"""Failures of one provider, by what helps against them, and the errors that providers tell.

Each is a ProviderFailed whose `cause` names no host and repeats no words of the provider.
"""

import re
from typing import Any

from crypto_checkout.core.errors import ProviderFailed

# JSON-RPC codes by which providers limit the pace: 429 (Alchemy), -32005 (EIP-1474, Infura), -32007 and -32011
# (QuickNode), -32016 (public nodes), -32029 (Ankr), -32097 (Infura).
_BUSY_CODES = frozenset({429, -32005, -32007, -32011, -32016, -32029, -32097})
_BUSY_WORDS = re.compile(
    r"rate.?limit|too many requests|throughput|capacity|requests? limit|requests? (per|a|/) ?second|quota|overloaded",
    re.IGNORECASE,
)
_REVERTED_CODE = 3
# Some nodes give the code of a limit to logs that are too many for one answer: a smaller range is of use then.
_TOO_MANY_LOGS = re.compile(r"range|result|block|logs|size|^limit exceeded$", re.IGNORECASE)


class NoAnswer(ProviderFailed):
    """The connection can't be made, or broke."""

    cause = "its nodes can't be reached"


class Unreachable(NoAnswer):
    """No connection can be made; another node may come back under the URL."""


class TimedOut(NoAnswer):
    """No whole answer came in time. Asking the same provider again is of no use."""

    cause = "its nodes don't answer in time"


class Busy(ProviderFailed):
    """The provider limits the pace. `retry_after_seconds` is the pause that it demands, 0 if it names none."""

    cause = "its nodes limit the number of requests"

    def __init__(self, message: str, retry_after_seconds: float = 0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Nonsense(ProviderFailed):
    """The response is no answer in JSON-RPC: an error page, or half of something. The next one may be better."""


class Muddled(ProviderFailed):
    """The answers don't fit the calls, or a batch is refused as a whole: perhaps because of its size."""


class TooLarge(Muddled):
    """The answer exceeds a limit: asked for again, it would be the same."""


class Denied(ProviderFailed):
    """HTTP 401, 403 and so on: the provider serves nothing under this URL, or not with this key or plan."""

    cause = "its nodes refuse access: the key, or its plan"


class Refused(ProviderFailed):
    """The provider answered a call with an error of its own: it can't, or won't, serve it."""

    cause = "its nodes refuse calls that are needed"


class Throttled(Busy, Refused):
    """The provider refuses a call because of its pace, and goes on refusing it when it is asked again."""


class Unsupported(ProviderFailed):
    """The provider lacks an optional method: the next one is asked, and this one is not blamed."""


class Disproven(ProviderFailed):
    """The provider's answer is proven wrong: it rests for a minute."""

    cause = "its nodes show what the hash of a block contradicts"


def of_error(error: Any, method: str | None = None) -> ProviderFailed:
    """Return what a JSON-RPC error means, whatever its shape: Throttled, or Refused, with the provider's words.

    `method` is the call's, None for a whole batch.
    """
    code = error.get("code") if isinstance(error, dict) else None
    message = str(error.get("message") if isinstance(error, dict) else error)
    is_reverted = code == _REVERTED_CODE or "revert" in message
    is_too_much = method == "eth_getLogs" and _TOO_MANY_LOGS.search(message) and not is_busy(message)
    if not is_reverted and not is_too_much and (code in _BUSY_CODES or is_busy(message)):
        return Throttled(f"busy: {message}")
    return Refused(f"refused: {message}")


def is_busy(words: str) -> bool:
    """Tell whether a provider's words mean that it limits the pace."""
    return _BUSY_WORDS.search(words) is not None

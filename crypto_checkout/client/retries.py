"""What follows an attempt: its answer, its error, or a wait and the same again. Pure: it neither waits nor draws."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from . import errors

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
LONGEST_RETRY_AFTER_SECONDS = 60.0

# A conflict (409) is not among them: the same request conflicts again.
_RETRIED = frozenset({429, 500, 502, 503, 504})
# Mistakes in the request itself, which never left.
_NEVER_SENT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)

Outcome = httpx.Response | httpx.RequestError


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """It is done; the body is a JSON object."""

    body: dict[str, Any]


def judge(outcome: Outcome, *, attempt: int, max_retries: int, jitter: float) -> Wait | Answer:
    """Say what follows an attempt.

    A server that wants to be left alone for longer than a minute is not waited for: the error says for how long.

    Args:
        outcome: the answer, or what came instead of one.
        attempt: which one it was, from 1.
        max_retries: how many may follow the first attempt.
        jitter: drawn from 0 to 1; spreads the attempts of many clients over the second half of each wait.

    Raises:
        CheckoutApiError: The answer is an error, and trying again would not help or was tried enough.
        ConnectionFailed: The same of no answer.

    """
    if isinstance(outcome, httpx.Response) and outcome.is_success:
        return Answer(_body(outcome))
    asked = errors.retry_after_seconds(outcome) if isinstance(outcome, httpx.Response) else None
    if attempt > max_retries or not _may_pass(outcome) or (asked or 0) > LONGEST_RETRY_AFTER_SECONDS:
        raise _error(outcome, attempt)
    return Wait(asked if asked is not None else back_off(attempt, jitter))


def back_off(attempt: int, jitter: float) -> float:
    """Return how many seconds to wait after an attempt, from 1: twice as long each time, up to a bound."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (attempt - 1))
    return longest * (1 + jitter) / 2


def _may_pass(outcome: Outcome) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in _RETRIED
    return isinstance(outcome, httpx.TransportError) and not isinstance(outcome, _NEVER_SENT)


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise errors.unreadable(response) from None
    if not isinstance(body, dict):
        raise errors.unreadable(response)
    return body


def _error(outcome: Outcome, attempt: int) -> errors.CheckoutClientError:
    if isinstance(outcome, httpx.Response):
        return errors.from_response(outcome)
    request = outcome.request
    attempts = "1 attempt" if attempt == 1 else f"{attempt} attempts"
    why = str(outcome) or type(outcome).__name__
    failed = errors.ConnectionFailed(f"{request.method} {request.url}: no answer in {attempts}: {why}")
    failed.__cause__ = outcome
    return failed

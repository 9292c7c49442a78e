"""The decision after an attempt: return the answer, raise an error, or retry. Pure: no waiting, no randomness."""

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
# Mistakes in the request itself, which was never sent.
_NEVER_SENT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)

Outcome = httpx.Response | httpx.RequestError


@dataclass(frozen=True, slots=True)
class Wait:
    """Retry after this delay."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a successful call: a JSON object."""

    body: dict[str, Any]


def judge(outcome: Outcome, *, attempt: int, max_retries: int, jitter: float) -> Wait | Answer:
    """Decide how to proceed after an attempt.

    A `Retry-After` above a minute is not waited for: the error carries it instead.

    Args:
        outcome: the answer, or the error in its place.
        attempt: the number of the attempt, from 1.
        max_retries: the number of attempts that may follow the first.
        jitter: a random number from 0 to 1, which spreads the retries of many clients over half of each delay.

    Raises:
        CheckoutApiError: The answer is an error, and retries are of no use or used up.
        ConnectionFailed: No answer came, and retries are of no use or used up.

    """
    if isinstance(outcome, httpx.Response) and outcome.is_success:
        return Answer(_body(outcome))
    pause = errors.retry_after_seconds(outcome) if isinstance(outcome, httpx.Response) else None
    if attempt > max_retries or not _may_pass(outcome) or (pause or 0) > LONGEST_RETRY_AFTER_SECONDS:
        raise _error(outcome, attempt)
    return Wait(pause if pause is not None else back_off(attempt, jitter))


def back_off(attempt: int, jitter: float) -> float:
    """Return the delay in seconds after an attempt, from 1: doubled each time, up to a bound."""
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
    reason = str(outcome) or type(outcome).__name__
    failed = errors.ConnectionFailed(f"{request.method} {request.url}: no answer in {attempts}: {reason}")
    failed.__cause__ = outcome
    return failed

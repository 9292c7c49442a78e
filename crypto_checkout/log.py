"""Logging: its set-up, and the one list of context keys that log lines may carry.

    log = get_logger("watcher")
    log.info("caught up", chain=1, block=19_000_000)

Every room but `core` may log. Keys, secrets, recovery phrases and whole RPC URLs are never logged. To add a key, list
it in `CONTEXT_KEYS`.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

import structlog

CONTEXT_KEYS = {
    "address": "a client's address",
    "addresses": "how many deposit addresses",
    "advice": "what to do about it",
    "alarms": "how many alerts are sent",
    "attempt": "the number of a delivery attempt, from 1",
    "backup": "a backup's name",
    "block": "a block number",
    "blocks": "how many blocks",
    "chain": "a chain id",
    "channel": "how an alert is sent: mail or webhook",
    "cleared": "how many alerts are sent as cleared",
    "connections": "how many connections there may be at once",
    "cost": "the most that a transaction can cost, with its currency",
    "deliveries": "how many deliveries",
    "delivery": "a delivery's seq",
    "descriptors": "how many file descriptors the process may open",
    "duration_ms": "how long it took",
    "endpoint": "a webhook endpoint's id",
    "error": "what went wrong, in one line",
    "event_type": "an event's type",
    "failed": "how many units of work failed since the last line",
    "fee": "the fee of a transaction, with its currency",
    "index": "a derivation index",
    "keys": "API keys' ids",
    "kind": "a mail's kind",
    "last": "the last derivation index of a range",
    "left": "how much of it is still to do",
    "logins": "how many logins to the dashboard",
    "method": "an HTTP method",
    "nonce": "the transaction count of an account",
    "path": "an HTTP path without its query",
    "payments": "how many payments",
    "process": "a process of this program, as 4242@shop-1#3fa9c1",
    "provider": "the host of an RPC provider",
    "refund": "a refund's id",
    "request": "a request's id",
    "sessions": "how many sessions",
    "status": "an HTTP status, or a delivery's",
    "subject": "a mail's session, or the day that it is about",
    "term": "a leader's term, one more with each change",
    "times": "how often it happened since the last line",
    "tx": "a transaction's hash",
    "version": "a version of this program",
    "wallet": "a wallet's id",
    "webhook_event": "an event's id",
}
"""The keys of log lines besides `event`, `level`, `logger` and `timestamp`; a test compares them with the code."""

_REPEAT_SECONDS = 60.0

Logger = structlog.stdlib.BoundLogger


def get_logger(name: str) -> Logger:
    """Return a logger; `name` is the last part of the module's."""
    logger: Logger = structlog.stdlib.get_logger(f"crypto_checkout.{name}")
    return logger


def configure(level: Literal["debug", "info", "warning", "error"], style: Literal["auto", "console", "json"]) -> None:
    """Set up logging to standard error, once, at the start of a process.

    Log lines of libraries get the same form; only their warnings and errors are kept.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(style)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("crypto_checkout").setLevel(level.upper())


def silence() -> None:
    """Log nothing, for commands that report their results themselves."""
    configure("error", "auto")
    logging.getLogger("crypto_checkout").setLevel(logging.CRITICAL + 1)


def _renderers(style: Literal["auto", "console", "json"]) -> list[Any]:
    if style == "json" or (style == "auto" and not sys.stderr.isatty()):
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]


class RepeatedLine:
    """A log line that strangers can provoke: it is due at most once a minute. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times = 0
        self._at: float | None = None

    def due(self) -> int | None:
        """Count one more occasion; return how many there were since the last line, or None if it is too soon."""
        now = self._clock()
        self._times += 1
        if self._at is not None and now - self._at < _REPEAT_SECONDS:
            return None
        times, self._times, self._at = self._times, 0, now
        return times

"""A watcher's progress on its chain."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crypto_checkout.core.errors import DatabaseFailed, ProviderFailed

STUCK_AFTER = timedelta(seconds=25)
"""The time without a successful look at a chain after which it is stuck."""


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """A watcher's progress, its last error, and the time of its node's last answer (`seen_at`).

    `stopped` means that it only retries, after a reorg that was too deep. `unwritten` means that the database refused
    its last write, so that the node is not to blame. `uncompared_since` is the time since which nobody tells balances,
    on a chain where they were compared before: no session expires meanwhile. `looking_since` is when the first look
    began after the last one that succeeded, None between two that did; `cause` says why they failed, to anyone.
    """

    chain_id: int
    name: str
    head: int | None
    processed: int | None
    seen_at: datetime | None
    error: str | None
    stopped: bool
    unwritten: bool = False
    uncompared_since: datetime | None = None
    looking_since: datetime | None = None
    cause: str = ProviderFailed.cause

    def looking(self, now: datetime) -> "ChainStatus":
        """Return the status at the beginning of a look."""
        return self if self.looking_since is not None else replace(self, looking_since=now)

    def after_look(self, head: int, processed: int | None, now: datetime) -> "ChainStatus":
        """Return the status after a look that succeeded."""
        seen = replace(self, head=head, processed=processed, seen_at=now)
        return replace(seen, error=None, looking_since=None, stopped=False, unwritten=False)

    def after_failure(self, error: Exception, reason: str) -> "ChainStatus":
        """Return the status after a look that failed; if the database did, the nodes are not to blame."""
        if isinstance(error, DatabaseFailed):
            return replace(self.unattended(), error=reason, unwritten=True)
        cause = error.cause if isinstance(error, ProviderFailed) else ProviderFailed.cause
        return replace(self, error=reason, unwritten=False, cause=cause)

    def unattended(self) -> "ChainStatus":
        """Return the status while nobody looks: the time that passes then is no failure of the chain."""
        return replace(self, looking_since=None)

    def stuck_reason(self, now: datetime) -> str | None:
        """Return why a chain is stuck; None if it isn't. The words name no provider."""
        since = self.looking_since
        if since is None or now - since < STUCK_AFTER:
            return None
        return f"no block could be read for {(now - since).total_seconds():.0f} s: {self.cause}"

    def with_comparison(self, now: datetime, *, is_missing: bool) -> "ChainStatus":
        """Return the status after a turn in which balances were compared, or in which that `is_missing`."""
        return replace(self, uncompared_since=(self.uncompared_since or now) if is_missing else None)

    @property
    def lag(self) -> int | None:
        """Blocks that the node has and that aren't processed yet; None before the first answer."""
        if self.head is None or self.processed is None:
            return None
        return max(0, self.head - self.processed)

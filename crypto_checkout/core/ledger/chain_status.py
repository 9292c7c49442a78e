"""A watcher's progress on its chain."""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """A watcher's progress, its last error, and the time of its node's last answer (`seen_at`).

    `stopped` means that it only retries, after a reorg that was too deep. `unwritten` means that the database refused
    its last write, so that the node is not to blame. `uncompared_since` is the time since which nobody tells balances,
    on a chain where they were compared before: no session expires meanwhile.
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

    def with_comparison(self, now: datetime, *, is_missing: bool) -> "ChainStatus":
        """Return the status after a turn in which balances were compared, or in which that `is_missing`."""
        return replace(self, uncompared_since=(self.uncompared_since or now) if is_missing else None)

    @property
    def lag(self) -> int | None:
        """Blocks that the node has and that aren't processed yet; None before the first answer."""
        if self.head is None or self.processed is None:
            return None
        return max(0, self.head - self.processed)

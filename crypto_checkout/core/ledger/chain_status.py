"""A watcher's progress on its chain."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """A watcher's progress, its last error, and the time of its node's last answer (`seen_at`).

    `stopped` means that it only retries, after a reorg that was too deep. `unwritten` means that the database refused
    its last write, so that the node is not to blame.
    """

    chain_id: int
    name: str
    head: int | None
    processed: int | None
    seen_at: datetime | None
    error: str | None
    stopped: bool
    unwritten: bool = False

    @property
    def lag(self) -> int | None:
        """Blocks that the node has and that aren't processed yet; None before the first answer."""
        if self.head is None or self.processed is None:
            return None
        return max(0, self.head - self.processed)

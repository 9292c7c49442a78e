"""The stored state of the simulated chain, but for its transactions: the times of its blocks, and its branches."""

import json
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crypto_checkout.core.moments import from_optional_text

_SECOND = timedelta(seconds=1)
_SHORT_PAUSE_BLOCKS = 60
# Headers this far down are never read: the watcher remembers half as many.
_OLD_BLOCKS = 2048


@dataclass(slots=True)
class State:
    """The state of the chain, which stays small. `branches` holds (first block, salt).

    `pauses` holds (block, seconds): the seconds in excess of one a block, in all, up to that block. They pass while
    the server is off, or when the clock is put forward; a block that takes no time subtracts one. `seconds_ahead` is
    the total by which the clock was put forward. `newest` is the newest block's number when last read: setting the
    clock back removes no block.
    """

    seed: str
    genesis: datetime
    blocks_ahead: int = 0
    pauses: list[tuple[int, int]] = field(default_factory=list)
    branches: list[tuple[int, str]] = field(default_factory=list)
    newest: int = 0
    seconds_ahead: int = 0
    outage_until: datetime | None = None
    prices_out_until: datetime | None = None

    @property
    def paused(self) -> int:
        """The seconds in excess of one a block, in all."""
        return self.pauses[-1][1] if self.pauses else 0

    def due(self, now: datetime) -> int:
        """Return the number of the newest block by the clock and the blocks mined ahead of it."""
        elapsed = (now - self.genesis) // _SECOND + self.seconds_ahead - self.paused
        return max(0, elapsed) + self.blocks_ahead

    def resume(self, processed: int, now: datetime) -> None:
        """Let the time since the last processed block pass in one block, instead of in a block a second.

        No block up to there is mined again, even if the clock was set back: the watcher would never look at it.
        """
        self.newest = last = max(processed, self.newest)
        missed = self.due(now) - last
        if missed > _SHORT_PAUSE_BLOCKS:
            self.pause(last + 1, missed - 1)

    def pause(self, block: int, seconds: int) -> None:
        """Add seconds before a block newer than any other; -1 gives it the time of the one before."""
        self.pauses.append((block, self.paused + seconds))
        while len(self.pauses) > 1 and self.pauses[1][0] <= block - _OLD_BLOCKS:
            del self.pauses[0]
            # The blocks before it lose their own times, which are no longer read, and stay in order.
            self.pauses[0] = (0, self.pauses[0][1])

    def fork(self, first: int, salt: str) -> None:
        """Replace all blocks from `first` on."""
        kept = [branch for branch in self.branches if branch[0] < first]
        while len(kept) > 1 and kept[1][0] <= first - _OLD_BLOCKS:
            del kept[0]
        self.branches = [*kept, (first, salt)]

    def time(self, number: int) -> datetime:
        """Return a block's time."""
        if not self.pauses or number >= self.pauses[-1][0]:  # as the newest block's nearly always is
            paused = self.paused
        else:
            place = bisect_right(self.pauses, number, key=lambda pause: pause[0])
            paused = self.pauses[place - 1][1] if place else 0
        return self.genesis + timedelta(seconds=number + paused)

    def to_json(self) -> str:
        """Write the state as JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str) -> "State":
        """Read the JSON of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        return cls(
            seed=raw["seed"],
            genesis=datetime.fromisoformat(raw["genesis"]),
            blocks_ahead=raw["blocks_ahead"],
            branches=[(int(first), str(salt)) for first, salt in raw["branches"]],
            newest=raw["newest"],
            seconds_ahead=raw.get("seconds_ahead", 0),
            pauses=[(int(block), int(seconds)) for block, seconds in raw["pauses"]],
            outage_until=from_optional_text(raw.get("outage_until")),
            prices_out_until=from_optional_text(raw.get("prices_out_until")),
        )

"""When the simulated chain's blocks are, and on which branch: all that is kept of it but its transactions."""

import json
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crypto_checkout.core.moments import from_optional_text

_SHORT_PAUSE_BLOCKS = 60
# Nobody asks for headers this far down: the watcher remembers half as many.
_OLD_BLOCKS = 2048


@dataclass(slots=True)
class State:
    """All that is kept of the chain but its transactions; it stays small. `branches` holds (first block, salt).

    `pauses` holds (block, seconds): how many seconds more than one a block have passed in all until that block. They
    passed while the server was off, or because somebody put the clock forward; what took no time takes one away.
    `seconds_ahead` is how far the clock was put forward.
    `newest` is the newest block's number when it was last asked for: a clock that is set back takes no block away.
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
        """How many seconds more than one a block have passed in all."""
        return self.pauses[-1][1] if self.pauses else 0

    def due(self, now: datetime) -> int:
        """Return the number of the newest block by the clock and what was mined ahead of it."""
        elapsed = (now - self.genesis) // timedelta(seconds=1) + self.seconds_ahead - self.paused
        return max(0, elapsed) + self.blocks_ahead

    def resume(self, processed: int, now: datetime) -> None:
        """Let the time that the server was off pass before one block, instead of in a block a second."""
        last = max(processed, self.newest)
        missed = self.due(now) - last
        if missed > _SHORT_PAUSE_BLOCKS:
            self.pause(last + 1, missed - 1)

    def pause(self, block: int, seconds: int) -> None:
        """Let so many seconds more than one pass before a block that is newer than any; -1 lets none pass."""
        self.pauses.append((block, self.paused + seconds))
        while len(self.pauses) > 1 and self.pauses[1][0] <= block - _OLD_BLOCKS:
            del self.pauses[0]
            # The blocks before it lose their own times, which nobody asks for any more, and stay in order.
            self.pauses[0] = (0, self.pauses[0][1])

    def fork(self, first: int, salt: str) -> None:
        """Replace the blocks from one on by others."""
        kept = [branch for branch in self.branches if branch[0] < first]
        while len(kept) > 1 and kept[1][0] <= first - _OLD_BLOCKS:
            del kept[0]
        self.branches = [*kept, (first, salt)]

    def time(self, number: int) -> datetime:
        """Return a block's time."""
        place = bisect_right(self.pauses, number, key=lambda pause: pause[0])
        paused = self.pauses[place - 1][1] if place else 0
        return self.genesis + timedelta(seconds=number + paused)

    def to_json(self) -> str:
        """Write the state as JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str) -> "State":
        """Read what `to_json` wrote."""
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

"""The timeline of the demo: each step with its time, printed for people and kept for programs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_LINE = "{seconds:>7.2f} s  {name:<{width}}  {text}"
_WIDTH = len("endpoint created")


@dataclass(slots=True)
class TimelineStep:
    """A step: `text` of one or more lines for people, and `data` for programs."""

    name: str
    seconds: float = 0.0
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def tell(self, *lines: str, **data: Any) -> None:
        """Set the result."""
        self.text = "\n".join(lines)
        self.data = data

    def __str__(self) -> str:
        """Return the step's lines, aligned with other steps."""
        first, *more = self.text.splitlines() or [""]
        line = _LINE.format(seconds=self.seconds, name=self.name, width=_WIDTH, text=first).rstrip()
        indent = " " * len(_LINE.format(seconds=0, name="", width=_WIDTH, text=""))
        return "\n".join([line, *(indent + each for each in more)])


class Timeline:
    """The steps so far; `under_way` is the last one begun, and `problem` the reason why the story ended there."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.steps: list[TimelineStep] = []
        self.under_way = ""
        self.problem: str | None = None
        self._started = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[TimelineStep]:
        """Run a step; it joins the timeline once the block has succeeded."""
        self.under_way = name
        step = TimelineStep(name)
        yield step
        step.seconds = time.monotonic() - self._started
        self.steps.append(step)
        self.say(str(step))

    def as_json(self) -> dict[str, Any]:
        """Return the timeline as JSON."""
        return {
            "ok": self.problem is None,
            "failedStep": None if self.problem is None else self.under_way,
            "problem": self.problem,
            "timeline": [{"seconds": round(s.seconds, 3), "step": s.name, **s.data} for s in self.steps],
        }

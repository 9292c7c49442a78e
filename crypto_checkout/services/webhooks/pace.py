"""How fast deliveries may go to one endpoint: slowly at first and after an outage, and then at full speed.

Pure: the time, in seconds of any clock that only goes forward, is an argument. Nothing here is stored: after a restart
every endpoint begins slowly.
"""

OUTAGE_FAILURES = 5
"""How many failures in a row are taken for an outage."""

FIRST_PER_SECOND = 20.0
"""How many attempts a second there are at first, and where nothing but failures comes back."""

FULL_PER_SECOND = 1000.0
"""From this pace on there is none any more."""

_STEP_SECONDS = 1.0
_BURST_SECONDS = 0.05


class Pace:
    """The pace of one endpoint.

    After a failure one attempt runs at once, until one succeeds. At first, and after an outage, they come at a pace as
    well, which doubles with each second in which one succeeded: who comes back is not run over by what waits.

    Args:
        most: How many attempts may run at once at full speed.
        now: The time.

    """

    def __init__(self, most: int, now: float) -> None:
        self._most = most
        self._failures = 0
        self._slots = 1
        self._per_second: float | None = FIRST_PER_SECOND
        self._allowance = 1.0
        self._counted_at = now
        self._raised_at = now

    def failed(self, now: float) -> None:
        """Take note of a failure."""
        self._failures += 1
        self._slots = 1
        if self._failures >= OUTAGE_FAILURES:
            self._set(FIRST_PER_SECOND, now)

    def succeeded(self, now: float) -> None:
        """Take note of a success."""
        was_failing, self._failures = self._failures > 0, 0
        if self._per_second is None:
            self._slots = self._most
        elif was_failing:
            self._raised_at = now
        elif now - self._raised_at >= _STEP_SECONDS:
            self._slots = min(self._most, 2 * self._slots)
            faster = 2 * self._per_second
            self._set(faster if faster < FULL_PER_SECOND else None, now)

    def started(self, now: float) -> None:
        """Take note of an attempt that begins."""
        if self._per_second is not None:
            self._count(now)
            self._allowance -= 1

    def room(self, running: int, now: float) -> int:
        """Say how many attempts may begin beside those that run."""
        free = max(0, self._slots - running)
        if self._per_second is None:
            return free
        self._count(now)
        return min(free, int(self._allowance))

    def wait_seconds(self, now: float) -> float:
        """Say when the pace allows another attempt; 0 when it does now."""
        if self._per_second is None:
            return 0.0
        self._count(now)
        return max(0.0, 1 - self._allowance) / self._per_second

    def _set(self, per_second: float | None, now: float) -> None:
        self._count(now)
        self._per_second = per_second
        self._raised_at = now

    def _count(self, now: float) -> None:
        """Let the allowance grow to now, up to what a short while brings."""
        passed, self._counted_at = now - self._counted_at, now
        if self._per_second is not None:
            most = max(1.0, self._per_second * _BURST_SECONDS)
            self._allowance = min(most, self._allowance + passed * self._per_second)

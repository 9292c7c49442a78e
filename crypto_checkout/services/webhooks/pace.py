"""Pace the deliveries to one endpoint: slowly at first and after an outage, then at full speed.

Pure: the time is an argument, in seconds of any monotonic clock. Nothing is stored: after a restart every endpoint
begins slowly, and those that answered lately are at full speed within a second.
"""

OUTAGE_FAILURES = 5
"""The number of failures in a row that counts as an outage."""

FIRST_PER_SECOND = 20.0
"""Attempts a second at first, and while all attempts fail."""

FULL_PER_SECOND = 1000.0
"""Attempts a second at which the limit is lifted."""

_STEP_SECONDS = 1.0
_SHORT_STEP_SECONDS = 0.125
_BURST_SECONDS = 0.05
_GROWTH = 1.3


class Pace:
    """The pace of one endpoint.

    Each failure halves the number of attempts that may run at once, down to one, and each success raises it by
    30 %: an endpoint that fails once in a while keeps its pace, and one that mostly fails is asked one at a time.
    At first and after an outage the rate is limited too, and doubles with each second in which most attempts succeed,
    so that the backlog doesn't run over a receiver that comes back.

    Args:
        most: the attempts that may run at once at full speed.
        now: the time.
        answered_lately: whether the endpoint was up a while ago: until its first outage the rate doubles with each
            eighth of a second.

    """

    def __init__(self, most: int, now: float, *, answered_lately: bool = False) -> None:
        self._most = most
        self._step_seconds = _SHORT_STEP_SECONDS if answered_lately else _STEP_SECONDS
        self._at_once = 1.0
        self._failures = 0
        self._lead = 0
        self._per_second: float | None = FIRST_PER_SECOND
        self._allowance = 1.0
        self._counted_at = now
        self._raised_at = now

    @property
    def is_full(self) -> bool:
        """True at full speed, where nothing limits the attempts a second."""
        return self._per_second is None

    def failed(self, now: float) -> None:
        """Note a failed attempt."""
        self._failures += 1
        self._lead -= 1
        self._at_once = max(1.0, self._at_once / 2)
        if self._failures >= OUTAGE_FAILURES:
            self._step_seconds = _STEP_SECONDS
            self._set(FIRST_PER_SECOND, now)

    def succeeded(self, now: float) -> None:
        """Note a successful attempt."""
        self._failures = 0
        self._lead += 1
        self._at_once = min(float(self._most), self._at_once * _GROWTH)
        if self._per_second is not None and now - self._raised_at >= self._step_seconds:
            faster = 2 * self._per_second if self._lead > 0 else self._per_second
            self._set(faster if faster < FULL_PER_SECOND else None, now)

    def started(self, now: float) -> None:
        """Note the start of an attempt."""
        if self._per_second is not None:
            self._count(now)
            self._allowance -= 1

    def room(self, running: int, now: float) -> int:
        """Return the number of attempts that may start beside the running ones."""
        free = max(0, int(self._at_once) - running)
        if self._per_second is None:
            return free
        self._count(now)
        return min(free, int(self._allowance))

    def wait_seconds(self, now: float) -> float:
        """Return the seconds until the pace allows another attempt; 0 if it does now."""
        if self._per_second is None:
            return 0.0
        self._count(now)
        return max(0.0, 1 - self._allowance) / self._per_second

    def _set(self, per_second: float | None, now: float) -> None:
        self._count(now)
        self._per_second = per_second
        self._raised_at = now
        self._lead = 0

    def _count(self, now: float) -> None:
        """Add the allowance for the time since the last call, up to a short burst."""
        passed, self._counted_at = now - self._counted_at, now
        if self._per_second is not None:
            most = max(1.0, self._per_second * _BURST_SECONDS)
            self._allowance = min(most, self._allowance + passed * self._per_second)

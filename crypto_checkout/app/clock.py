"""The system clock. Everything else takes a `core.moments.Clock` as an argument."""

from datetime import UTC, datetime


def system_clock() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)

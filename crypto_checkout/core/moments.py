"""Moments in time. In Python an aware UTC `datetime`; in the database and the API one text of fixed width.

The text sorts as the time does: `2026-11-23T09:30:00.000Z`. The clock is never read here.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Tells the time; an argument everywhere, so that tests and test mode can have their own."""


def to_text(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds and a `Z`; finer parts are cut off."""
    if moment.tzinfo is None:
        raise ValueError(f"moment without a zone: {moment!r}")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Read what `to_text` wrote; other ISO 8601 texts with a zone are read too. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"moment without a zone: {text!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"moment outside the years 1 to 9999: {text!r}") from error


def to_optional_text(moment: datetime | None) -> str | None:
    """Write a moment, or None where there is none."""
    return None if moment is None else to_text(moment)


def from_optional_text(text: str | None) -> datetime | None:
    """Read what `to_optional_text` wrote."""
    return None if text is None else from_text(text)


def from_unix(seconds: int) -> datetime:
    """Turn a block's timestamp (Unix seconds) into a moment. Raises ValueError after the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"moment outside the years 1 to 9999: {seconds} s") from error

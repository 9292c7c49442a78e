"""Moments in time: an aware UTC `datetime` in Python, text of fixed width in the database and the API.

The text sorts by time: `2026-11-23T09:30:00.000Z`. The clock is never read here.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

Clock = Callable[[], datetime]
"""Returns the current time. Always passed as an argument, so that tests and test mode can use their own."""


@lru_cache(maxsize=1024)  # most are written several times: into columns, an answer and an event
def to_text(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds and a `Z`, cutting off finer parts."""
    if moment.tzinfo is None:
        raise ValueError(f"moment without a zone: {moment!r}")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=1024)
def from_text(text: str) -> datetime:
    """Read ISO 8601 text with a zone, such as `to_text` writes. Raises ValueError for any other."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"moment without a zone: {text!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"moment outside the years 1 to 9999: {text!r}") from error


def to_optional_text(moment: datetime | None) -> str | None:
    """Write a moment as `to_text` does; None stays None."""
    return None if moment is None else to_text(moment)


def from_optional_text(text: str | None) -> datetime | None:
    """Read text as `from_text` does; None stays None."""
    return None if text is None else from_text(text)


def from_unix(seconds: int) -> datetime:
    """Turn a block's timestamp (Unix seconds) into a moment. Raises ValueError after the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"moment outside the years 1 to 9999: {seconds} s") from error

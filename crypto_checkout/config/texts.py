"""The types of text in several lines, and of the names of time zones; each completes "expected …"."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

_MOST_LINES, _LONGEST_LINE = 8, 80


def _paragraph(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) > _MOST_LINES or any(len(line) > _LONGEST_LINE or not line.isprintable() for line in lines):
        raise ValueError(f"at most {_MOST_LINES} lines of at most {_LONGEST_LINE} printable characters")
    return "\n".join(lines)


def _time_zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError('the name of a time zone, like "Europe/Berlin"') from None
    return name


Paragraph = Annotated[str, AfterValidator(_paragraph)]
TimeZone = Annotated[str, AfterValidator(_time_zone_name)]

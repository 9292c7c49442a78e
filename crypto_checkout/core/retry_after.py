"""The `Retry-After` header. Obeying it is the caller's decision."""

import email.utils
from datetime import UTC, datetime

_MAX_DELTA_DIGITS = 18


def parse(value: str, now: datetime) -> float | None:
    """Read a `Retry-After` header (RFC 9110, section 10.2.3): seconds, or an HTTP date minus `now`.

    A date in the past gives 0, and a value that is neither gives None. `now` needs a zone.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MAX_DELTA_DIGITS else None
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # asctime dates and the zone "-0000" come back without a zone; HTTP dates are always GMT.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())

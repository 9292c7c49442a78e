"""Decide when the daily work that reads the whole database is due."""

from datetime import datetime, timedelta

from crypto_checkout.store.data_folder import integrity
from crypto_checkout.store.database import Database

_AGAIN_AFTER = timedelta(hours=20)
_AT_LATEST_AFTER = timedelta(hours=48)
_LOOKED_BACK = timedelta(days=7)


async def is_daily_due(db: Database, now: datetime, last: datetime | None, began_at: datetime) -> bool:
    """Tell whether daily work is due: at the hour with the fewest sessions, or after two days without such an hour.

    Without a `last` time the server's start counts, which is no reason to wait for the next day.
    """
    age = now - (last or began_at)
    if age >= _AT_LATEST_AFTER or age < timedelta():
        return True
    if last is not None and age < _AGAIN_AFTER:
        return False
    return now.hour == await db.read(lambda unit: integrity.quiet_hour(unit, now - _LOOKED_BACK))

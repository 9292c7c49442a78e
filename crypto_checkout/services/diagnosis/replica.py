"""Check for `doctor` that Litestream keeps the replica up to date, where it runs beside the database."""

from pathlib import Path

from crypto_checkout import litestream
from crypto_checkout.core.diagnosis.checks import Check, fail, ok

_SECONDS = 10


async def check(database: Path) -> list[Check]:
    """Ask Litestream to confirm that everything is in the replica; without one there is nothing to check."""
    if not litestream.is_used(database):
        return []
    try:
        await litestream.confirm(database, _SECONDS)
    except litestream.NotReplicated as error:
        what = f"it may lack what was written last: {error}"
        advice = "Check Litestream's service and its log; the guide A warm standby has its configuration."
        return [fail("replica", what, f"{advice} Not used any more? Remove {litestream.metadata(database)}.")]
    return [ok("replica", "Litestream confirms that everything is in it")]

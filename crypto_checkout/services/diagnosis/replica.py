"""Check for `doctor` that Litestream keeps the replica up to date, where it runs beside the database."""

from pathlib import Path

from crypto_checkout import litestream
from crypto_checkout.core.diagnosis.checks import Check, fail, ok
from crypto_checkout.core.diagnosis.explanation import span
from crypto_checkout.core.moments import Clock
from crypto_checkout.services.upkeep.replica_watch import behind
from crypto_checkout.store.sqlite.checkpoints import is_left_to_litestream, litestream_folder


async def check(database: Path, clock: Clock) -> list[Check]:
    """Ask Litestream when it last had everything copied; without a replica there is nothing to check."""
    if not is_left_to_litestream(database):
        return []
    try:
        copied_at = await litestream.copied_at(database)
    except litestream.NotReplicated as error:
        problem: str | None = str(error)
    else:
        problem = behind(copied_at, clock())
        age = span(clock() - copied_at)
    if problem is None:
        return [ok("replica", f"everything was in it {age} ago")]
    advice = "Check Litestream's service and its log; the guide A warm standby has its configuration."
    return [fail("replica", problem, f"{advice} Not used any more? Remove {litestream_folder(database)}.")]

"""A process that packs the bodies of all events with short pauses, until it is done or killed.

python -m tests.support.event_packer DATABASE
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crypto_checkout.services.upkeep.event_packing import KEPT_PLAIN, EventPacking
from crypto_checkout.store.database import Database


def _later() -> datetime:
    return datetime.now(UTC) + KEPT_PLAIN + timedelta(minutes=1)


async def _pack(path: Path) -> None:
    async with await Database.open(path, _later, serves=True) as db:
        await EventPacking(db, _later, least_pause_seconds=0.01, pause_for_each_second=0).turn()


if __name__ == "__main__":
    asyncio.run(_pack(Path(sys.argv[1])))

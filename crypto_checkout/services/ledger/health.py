"""Check that the server can do its work: the database takes writes, and each watcher keeps up."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_checkout import descriptors
from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.store.data_folder import integrity
from crypto_checkout.store.database import Database
from crypto_checkout.store.faults import has_no_room
from crypto_checkout.store.webhooks import deliveries

log = get_logger("health")

_SILENT_AFTER = timedelta(seconds=60)
_MOST_LAG_BLOCKS = 100
_DATABASE_SECONDS = 5.0
_REMEMBERED_FOR = timedelta(seconds=2)
DAMAGED = "is damaged; put the last backup back"
"""The problem of a database in which SQLite met a broken page; restarting doesn't help."""

_BLIND_AFTER = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class ReadinessCheck:
    """The result for one part of the server; `problem` is None if it works, and reveals nothing internal."""

    name: str
    problem: str | None


class Readiness:
    """The checks behind `/readyz`."""

    def __init__(self, db: Database, watchers: Sequence[Watcher], clock: Clock) -> None:
        self._db = db
        self._watchers = watchers
        self._clock = clock
        self._started_at = clock()
        self._database: tuple[ReadinessCheck, datetime] | None = None

    async def checks(self) -> list[ReadinessCheck]:
        """Check the database, the file descriptors and every watcher."""
        watchers = (self._check_watcher(watcher.status) for watcher in self._watchers)
        return [await self._check_database(), _check_descriptors(), *watchers]

    async def count_pending_deliveries(self) -> int:
        """Return the number of deliveries that wait, due or not."""
        return await self._db.read(deliveries.count_pending)

    async def _check_database(self) -> ReadinessCheck:
        """Try a write. The result is kept for a moment, because anyone may call `/readyz`."""
        if self._db.faults.damage is not None:
            return ReadinessCheck("database", DAMAGED)
        now = self._clock()
        if self._database is not None and abs(now - self._database[1]) < _REMEMBERED_FOR:
            return self._database[0]
        problem = None
        try:
            async with asyncio.timeout(_DATABASE_SECONDS):
                await self._db.write(integrity.write_nothing)
        except TimeoutError:
            problem = f"no write succeeded within {_DATABASE_SECONDS:g} s"
        except DatabaseFailed:
            problem = "can't be written"
        except Exception as error:  # noqa: BLE001 - whatever it is, it isn't ready  # a loop's boundary
            problem = "can't be written"
            log.warning("the database can't be written", error=str(error))
        # On a full disk, small writes still succeed, because they reuse the space of the write-ahead log.
        if problem is None and (self._db.faults.refused_lately or await asyncio.to_thread(has_no_room, self._db.path)):
            problem = "can't be written"
        check = ReadinessCheck("database", problem)
        self._database = (check, now)
        return check

    def _check_watcher(self, status: ChainStatus) -> ReadinessCheck:
        return ReadinessCheck(f"chain {status.chain_id}", self._problem(status))

    def _problem(self, status: ChainStatus) -> str | None:
        if status.stopped:
            return (
                "stopped: its node shows another chain than the one that was followed; "
                f"run crypto-checkout chains reanchor {status.chain_id}"
            )
        if status.unwritten:
            return "its blocks can't be stored: the database takes no writes"
        stuck = status.stuck_reason(self._clock())
        if stuck is not None:
            return stuck
        seen_at = status.seen_at or self._started_at
        silent = self._clock() - seen_at
        if silent > _SILENT_AFTER:
            return f"no answer from its node for {silent.total_seconds():.0f} s"
        if status.lag is None:
            return "no block processed yet"
        return f"{status.lag} blocks behind" if status.lag > _MOST_LAG_BLOCKS else None


def _check_descriptors() -> ReadinessCheck:
    return ReadinessCheck("descriptors", "hardly any is left" if descriptors.are_scarce() else None)


class ChainVisibility:
    """Visibility of the chains of both modes, to explain to a payer why no payment shows up.

    It doubts sooner than `Readiness`: a node that answers with errors counts as blind after 15 seconds, a silent one
    after 60.
    """

    def __init__(self, watchers: Sequence[Watcher], clock: Clock) -> None:
        self._watchers = {watcher.status.chain_id: watcher for watcher in watchers}
        self._clock = clock
        self._started_at = clock()

    def sees(self, chain_id: int) -> bool:
        """Tell whether payments on a chain are noticed now; on a chain no longer configured none are."""
        watcher = self._watchers.get(chain_id)
        if watcher is None or watcher.status.stopped:
            return False
        status = watcher.status
        silent = self._clock() - (status.seen_at or self._started_at)
        limit = _SILENT_AFTER if status.error is None else _BLIND_AFTER
        return silent <= limit and (status.lag or 0) <= _MOST_LAG_BLOCKS

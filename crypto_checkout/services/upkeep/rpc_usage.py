"""Record the usage of RPC providers, so that a plan's limits don't come as a surprise.

Usage is counted in memory and written once a minute; a killed process loses that minute. Usage around midnight belongs
to the day on which it is written.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage as Usage
from crypto_checkout.core.errors import DatabaseFailed, OutcomeUnknown
from crypto_checkout.log import get_logger
from crypto_checkout.store import rpc_usage
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.rpc_usage import DailyUsage

log = get_logger("rpc")

KEPT_DAYS = 30

_EVERY_SECONDS = 60.0


class UsageMeter(Protocol):
    """Counts the usage of one chain's providers; see `chain.rpc.meter`."""

    chain_id: int

    def take(self) -> Mapping[str, Usage]:
        """Return the usage since the last call, by provider."""

    def put_back(self, taken: Mapping[str, Usage]) -> None:
        """Return usage that could not be written to the meter."""


class UsageRecorder:
    """Writes the meters' usage to the database."""

    def __init__(self, db: Database, meters: Sequence[UsageMeter]) -> None:
        self._db = db
        self._meters = meters

    async def run(self) -> None:
        """Write once a minute, and once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                await self._try()
        finally:
            await self._try()

    async def turn(self) -> None:
        """Write the usage since the last turn, if there was any."""
        counted = [(meter, meter.take()) for meter in self._meters]
        if not any(usage for _, usage in counted):
            return

        def store(unit: WriteUnit) -> None:
            today = unit.now.date()
            for meter, taken in counted:
                for provider, used in taken.items():
                    rpc_usage.add(unit, DailyUsage(today, meter.chain_id, provider, used))
            rpc_usage.forget_before(unit, today - timedelta(days=KEPT_DAYS - 1))

        try:
            await self._db.write(store)
        except (OutcomeUnknown, asyncio.CancelledError):
            raise  # it may be stored: better missing, as after a kill, than counted twice
        except BaseException:  # nothing was stored, whatever the cause  # a loop's boundary
            for meter, taken in counted:
                meter.put_back(taken)
            raise

    async def _try(self) -> None:
        try:
            await self.turn()
        except DatabaseFailed:
            pass  # the database has logged it; the next minute writes it
        except Exception as error:  # noqa: BLE001 - the next minute writes it  # a loop's boundary
            log.warning("what the providers were asked can't be written", error=str(error))

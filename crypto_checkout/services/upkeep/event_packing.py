"""Pack the bodies of events a while after they were recorded, and all those that earlier versions left.

The place up to which they are packed is in the database, so after a kill this goes on where it was. Parts are small,
and the pauses between them longer than they are: whoever writes meanwhile waits a few milliseconds at most, and what
is kept until the next commit (`http.entry.kept_answers`) stands most of the time.
"""

import asyncio
import shutil
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from crypto_checkout import metrics
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store.database import Database
from crypto_checkout.store.webhooks import bodies, packing
from crypto_checkout.store.webhooks.packing import PackedBody, PlainBody

log = get_logger("packing")

KEPT_PLAIN = timedelta(minutes=10)
"""The time for which bodies stay as they were written: most deliveries and polls are over by then."""

_EVERY_SECONDS = 60.0
_AT_ONCE = 32
_LEAST_PAUSE_SECONDS = 0.05
_PAUSE_FOR_EACH_SECOND = 4.0
_ROOM_LEFT_BYTES = 64 * 1024 * 1024
"""The free disk below which nothing is packed: the log of the changes may take a fourth of it."""


class EventPacking:
    """The loop that packs, for both modes."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        least_pause_seconds: float = _LEAST_PAUSE_SECONDS,
        pause_for_each_second: float = _PAUSE_FOR_EACH_SECOND,
    ) -> None:
        self._db = db
        self._clock = clock
        self._least_pause_seconds = least_pause_seconds
        self._pause_for_each_second = pause_for_each_second

    async def run(self) -> None:
        """Pack now and every minute, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="events could not be packed")

    async def turn(self) -> None:
        """Pack whatever is old enough, in parts; nothing while the disk is almost full or refuses writes."""
        before = self._clock() - KEPT_PLAIN
        while await asyncio.to_thread(self._has_room):
            began = time.monotonic()
            plain, left = await self._db.read(
                lambda unit: (packing.plain_bodies(unit, before, _AT_ONCE), packing.count_plain(unit))
            )
            metrics.EVENTS_PLAIN.set(left)
            if not plain:
                return
            packed = await asyncio.to_thread(_packed, plain)
            await self._db.write(partial(packing.store_packed, bodies=packed, done_seq=plain[-1].seq))
            took = time.monotonic() - began
            await asyncio.sleep(max(self._least_pause_seconds, self._pause_for_each_second * took))

    def _has_room(self) -> bool:
        if self._db.faults.refused_lately:
            return False
        return shutil.disk_usage(self._db.path.parent).free >= _ROOM_LEFT_BYTES


def _packed(plain: Sequence[PlainBody]) -> list[PackedBody]:
    """Pack bodies, except those that would become no shorter; each is unpacked for a proof before its text goes."""
    found = []
    for body in plain:
        data = bodies.pack(body.text)
        if len(data) < len(body.text.encode()) and bodies.unpack(data) == body.text:
            found.append(PackedBody(body.seq, data))
    return found

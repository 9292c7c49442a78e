"""Look for a newer version of this program once a day, where the owner has named a URL for that."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from crypto_checkout.core.errors import UpdatesUnknown
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.upkeep.versions import NoRelease, Release, read_release
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store.upkeep import newest_version
from crypto_checkout.store.upkeep.newest_version import LastLook

log = get_logger("updates")

Ask = Callable[[str], Awaitable[Any]]
"""Returns the JSON at a URL, or raises UpdatesUnknown; `updates.ask` does."""

_EVERY_SECONDS = 600.0
_AGAIN_AFTER = timedelta(hours=24)
_MOST_JITTER = timedelta(hours=2)


class UpdateWatch:
    """The daily look. Without a `url` nobody is asked, and there is never a newer version."""

    def __init__(self, url: str, folder: Path, version: str, ask: Ask, clock: Clock) -> None:
        self.url = url
        self._folder = folder
        self._version = version
        self._ask = ask
        self._clock = clock
        self.last = newest_version.read(folder, url) if url else None
        """The last look at the URL, which may have been another process's."""

    @property
    def newer(self) -> Release | None:
        """The newest release that is known, if it is newer than this program."""
        release = None if self.last is None else self.last.release
        return release if release is not None and release.is_newer_than(self._version) else None

    async def run(self) -> None:
        """Look when it is due, until cancelled."""
        if self.url:
            await every(_EVERY_SECONDS, self.turn, log=log, failure="the look for a newer version failed")

    async def turn(self) -> None:
        """Look if a day has passed since the last time, two hours more or less."""
        now, last = self._clock(), self.last
        # A time far ahead was noted by a clock that was wrong.
        if last is not None and now < last.next_at <= now + _AGAIN_AFTER + _MOST_JITTER:
            return
        known = None if last is None else last.release
        next_at = now + _AGAIN_AFTER + random.uniform(-1, 1) * _MOST_JITTER  # noqa: S311 - it spreads load, no more
        try:
            found = LastLook(self.url, now, next_at, read_release(await self._ask(self.url)))
        except (UpdatesUnknown, NoRelease) as error:
            problem = f"the answer {error}" if isinstance(error, NoRelease) else str(error)
            log.warning("the newest version could not be looked up", error=problem)
            found = LastLook(self.url, now, next_at, known, problem)
        was_known, self.last = self.newer, found
        if self.newer is not None and self.newer != was_known:
            log.info("there is a newer version", version=self.newer.version)
        with suppress(OSError):  # on a full disk; then a restart looks again
            await asyncio.to_thread(newest_version.note, self._folder, found)

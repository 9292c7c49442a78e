"""Results of reads, kept until anybody commits to the database."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from crypto_checkout.store.database import Database, ReadUnit

T = TypeVar("T")


class Kept(Generic[T]):
    """Results that follow from the database alone: until the next commit, of any process, a read gives them again.

    At most `most` of them, and only those that are small; they are shared, so nobody may change one.
    """

    def __init__(self, db: Database, *, most: int, is_small: Callable[[T], bool] = lambda _: True) -> None:
        self._db = db
        self._most = most
        self._is_small = is_small
        self._version: int | None = None
        self._known: dict[Hashable, Any] = {}

    async def read(self, name: Hashable, work: Callable[[ReadUnit], T]) -> T:
        """Return the result of a quick unit of work, which its name must identify."""
        version = self._db.version()
        if version is None or version != self._version:
            self._version, self._known = version, {}
        known = self._known
        if name in known:
            kept: T = known[name]
            return kept
        # What is committed meanwhile changes the version, and another dictionary takes the place of this one.
        result = await self._db.read(work, quick=True)
        if version is not None and len(known) < self._most and self._is_small(result):
            known[name] = result
        return result

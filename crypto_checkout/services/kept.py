"""Results that follow from the database alone, kept until anybody commits to it."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from crypto_checkout.store.database import Database

T = TypeVar("T")


class Kept(Generic[T]):
    """Results that follow from the database alone: until the next commit, of any process, they are given again.

    Together they take at most `most_bytes`, by `size`; they are shared, so nobody may change one.
    """

    def __init__(self, db: Database, *, most_bytes: int, size: Callable[[T], int]) -> None:
        self._db = db
        self._most_bytes = most_bytes
        self._size = size
        self._version: int | None = None
        self._known: dict[Hashable, Any] = {}
        self._free_bytes = most_bytes

    async def get(self, name: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Return what `make` reads from the database, which its name must identify."""
        version = self._db.version()
        if version is None or version != self._version:
            self._version, self._known, self._free_bytes = version, {}, self._most_bytes
        known = self._known
        if name in known:
            kept: T = known[name]
            return kept
        # What is committed meanwhile changes the version, and another dictionary takes the place of this one.
        result = await make()
        is_new = version is not None and known is self._known and name not in known
        if is_new and (size := self._size(result)) <= self._free_bytes:
            self._free_bytes -= size
            known[name] = result
        return result

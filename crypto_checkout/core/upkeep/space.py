"""Name what takes up the space on the disk, by kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LEAST_FREE_BYTES = 256_000_000
"""The least free space on the database's disk; with less the disk is an issue, because a full one takes no payments."""


class SpaceKind(StrEnum):
    """The kinds of what the database holds; the values are stored."""

    SESSIONS = "sessions"
    PAYMENTS = "payments"
    EVENTS = "events"
    DELIVERIES = "deliveries"
    CUSTOMERS = "customers"
    RECEIPTS = "receipts"
    SANDBOX = "sandbox"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SpaceTaken:
    """The bytes of each kind in the database, as measured at a time."""

    kinds: Mapping[SpaceKind, int]
    measured_at: datetime


@dataclass(frozen=True, slots=True)
class FolderSizes:
    """The sizes in bytes of the data folder's files, of backups wherever they are, and of the database's disk.

    `copies` were made before an upgrade or a restore. Without a disk of their own, `backups` are on the database's.
    """

    database: int
    log: int
    backups: int
    backup_files: int
    copies: int
    rest: int
    total: int
    free: int
    has_own_backup_disk: bool = False

    @property
    def on_this_disk(self) -> int:
        """The bytes that this server takes of the database's disk."""
        return self.database + self.log + self.copies + self.rest + (0 if self.has_own_backup_disk else self.backups)

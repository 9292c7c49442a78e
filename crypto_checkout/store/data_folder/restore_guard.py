"""Records of what a restore may not undo: two small files that stay while the database is replaced.

`revoked-keys` has the ID of each API key that was revoked, a line each. `last-numbers` has how far the numbers of
events and of the audit trail had come, and in which life of the database (`store.data_folder.life`): one whose numbers
are lower was restored to an earlier state. It also has the number of reports that leaders had made: one comes every few
seconds, so it tells how long the database was used, whatever the clocks say. And it has the id of a server's
data (`Database.data_id`): another one tells that the database was restored, if not to which state.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

_KEYS = "revoked-keys"
_NUMBERS = "last-numbers"
_NO_DATA_ID = 16 * "-"
_MOST_LOST_REPORTS = 30
"""The reports that a power cut may lose: half a minute of them, with a margin. A greater difference tells something."""


@dataclass(frozen=True, slots=True)
class LastNumbers:
    """The numbers that a database had come to: the last `seq` of its events and of its audit trail, and its life.

    `reports` is the number of the last report of a leader, 0 before the first one. `data_id` is "" for a file, and
    where it isn't known.
    """

    life: str
    since: str
    events: int
    audit: int
    reports: int = 0
    data_id: str = ""

    def has_missed_some(self, now: "LastNumbers") -> bool:
        """Tell whether others may have used the database after these numbers, so that no record here knows of it.

        Then nothing here tells whether it is as new as they have left it, or was restored to an earlier state. Where it
        was restored, they may have used it after the moment that it went back to, which no number shows.
        """
        is_other = bool(self.data_id and now.data_id) and self.data_id != now.data_id
        is_ahead = 0 < self.reports < now.reports - _MOST_LOST_REPORTS
        return now.life == self.life and (is_other or is_ahead)

    def are_lost_in(self, now: "LastNumbers") -> bool:
        """Tell whether a database that has these numbers now was restored to an earlier state since.

        What has no rows at all tells nothing: old events are deleted.
        """
        is_same = now.life == self.life and now.since == self.since
        is_earlier = 0 < now.reports < self.reports - _MOST_LOST_REPORTS
        return self.are_events_lost_in(now) or (is_same and (is_earlier or 0 < now.audit < self.audit))

    def are_events_lost_in(self, now: "LastNumbers") -> bool:
        """Tell it by events alone: the newest one is always kept, the newest entry of the trail may go."""
        if now.life != self.life or now.since != self.since:
            return now.life == self.life and now.since < self.since
        return 0 < now.events < self.events


def revoked_keys(folder: Path) -> frozenset[str]:
    """Return the IDs of the keys that are on record as revoked. Raises OSError."""
    try:
        return frozenset((folder / _KEYS).read_text("ascii").split())
    except (FileNotFoundError, UnicodeDecodeError):
        return frozenset()


def add_revoked_keys(folder: Path, ids: Collection[str]) -> None:
    """Record keys as revoked, on the disk too. Raises OSError."""
    if not ids:
        return
    descriptor = os.open(folder / _KEYS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, "".join(f"{each}\n" for each in sorted(ids)).encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_numbers(folder: Path) -> LastNumbers | None:
    """Return the numbers on record; None if there are none that can be read."""
    with suppress(OSError, ValueError):
        words = (folder / _NUMBERS).read_text("ascii").split()
        words += ["0", _NO_DATA_ID][len(words) - 4 :]  # earlier versions recorded four or five
        life, since, events, audit, reports, data_id = words
        data_id = "" if data_id == _NO_DATA_ID else data_id
        return LastNumbers(life, since, int(events), int(audit), int(reports), data_id)
    return None


def note_last_numbers(folder: Path, numbers: LastNumbers) -> None:
    """Record how far the database has come. One write of fixed width, so that a kill leaves the old text or the new.

    It isn't synced to disk: after a power cut less is known of what came since. Raises OSError.
    """
    descriptor = os.open(folder / _NUMBERS, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        counted = f"{numbers.events:015} {numbers.audit:015} {numbers.reports:015}"
        line = f"{numbers.life} {numbers.since} {counted} {numbers.data_id or _NO_DATA_ID}\n"
        os.pwrite(descriptor, line.encode("ascii"), 0)
    finally:
        os.close(descriptor)


def accept_other_data(folder: Path) -> None:
    """Let the next start find other data than those on record: the database moves there. Raises OSError."""
    if (numbers := last_numbers(folder)) is not None:
        note_last_numbers(folder, replace(numbers, data_id=""))


def bring(folder: Path, to: Path) -> None:
    """Copy the record of revoked keys to another data folder, to which the database moves. Raises OSError."""
    add_revoked_keys(to, revoked_keys(folder) - revoked_keys(to))

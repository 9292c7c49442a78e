"""Measure what takes up the space: the files of the data folder, and the tables of the database by kind.

The tables are measured by SQLite's own statistics of pages, which read the whole file, or, where it was built without
them, estimated from the number of rows and some of them. Both rest three times as long as they work.
"""

import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.core.backups import made_at
from crypto_checkout.core.upkeep.space import FolderSizes, SpaceKind, SpaceTaken
from crypto_checkout.store import files
from crypto_checkout.store.data_folder.integrity import STEPS_BETWEEN_PAUSES, SlowPace
from crypto_checkout.store.database import ReadUnit, WriteUnit

_SAMPLED_ROWS = 200
_BYTES_BESIDE_A_ROW = 12  # its number, its length and the kinds of its values; and as much again for its indexes
_DEEPEST = 4

KINDS: Mapping[str, SpaceKind] = {
    **dict.fromkeys(
        ("checkout_sessions", "session_metadata", "balances", "comparisons", "daily_sessions", "unassigned_addresses"),
        SpaceKind.SESSIONS,
    ),
    **dict.fromkeys(
        (
            "payments", "unmatched_payments", "outflows", "collections", "differences", "token_corrections",
            "fuel_transactions", "deposit_chains", "daily_payments", "late_pages", "blocks", "chain_cursors",
            "refunds", "refund_claims", "refund_codes", "refund_searches",
        ),
        SpaceKind.PAYMENTS,
    ),
    "events": SpaceKind.EVENTS,
    **dict.fromkeys(("deliveries", "delivery_attempts", "idempotency_keys"), SpaceKind.DELIVERIES),
    **dict.fromkeys(("customers", "customer_payments", "customer_money"), SpaceKind.CUSTOMERS),
    **dict.fromkeys(("receipts", "mails"), SpaceKind.RECEIPTS),
    **dict.fromkeys(("sandbox", "sandbox_transactions", "sandbox_requests"), SpaceKind.SANDBOX),
}  # fmt: skip
"""The kind of each table; those that aren't named are small."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The bytes of the database's file: in use, and free for what comes."""

    used: int
    free: int


def pages(unit: ReadUnit) -> Pages:
    """Return the bytes in use and free inside the database's file."""
    size, count, free = (_number(unit, name) for name in ("page_size", "page_count", "freelist_count"))
    return Pages((count - free) * size, free * size)


def folder_sizes(database: Path, backups: Path | None) -> FolderSizes:
    """Measure the files of the data folder, the backups, which may be elsewhere, and the database's disk.

    Raises OSError if the data folder can't be read.
    """
    folder, disk = database.parent, shutil.disk_usage(database.parent)
    is_elsewhere = backups is not None and backups.exists() and backups.stat().st_dev != folder.stat().st_dev
    log = sum(files.size_of(database.with_name(f"{database.name}-{ending}")) for ending in ("wal", "shm"))
    own, in_backups = files.size_of(database), 0 if backups is None else sum(_sizes(backups, _DEEPEST))
    copies = sum(files.size_of(file) for file in folder.glob(f"{database.name}.before-*"))
    inside = sum(_sizes(folder, _DEEPEST))
    if backups is not None and backups.resolve().is_relative_to(folder.resolve()):
        inside -= in_backups
    return FolderSizes(
        database=own,
        log=log,
        backups=in_backups,
        backup_files=0 if backups is None else _count_backups(backups),
        copies=copies,
        rest=max(0, inside - own - log - copies),
        total=disk.total,
        free=disk.free,
        has_own_backup_disk=is_elsewhere,
    )


def measure_tables(path: Path, stop: threading.Event) -> Mapping[SpaceKind, int] | None:
    """Return the bytes of each kind of table with its indexes; None if `stop` ended it early. Raises sqlite3.Error."""
    pace = SlowPace(stop)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_progress_handler(pace, STEPS_BETWEEN_PAUSES)
        found: Counter[SpaceKind] = Counter(dict.fromkeys(SpaceKind, 0))
        measure = _measured if _has_statistics(connection) else _estimated
        try:
            for table, taken in measure(connection):
                found[KINDS.get(table, SpaceKind.OTHER)] += taken
        except sqlite3.OperationalError:
            if not stop.is_set():
                raise
    return None if stop.is_set() else found


def store(unit: WriteUnit, kinds: Mapping[SpaceKind, int]) -> None:
    """Replace the stored measurement."""
    unit.run("DELETE FROM room_by_kind")
    unit.run_many(
        "INSERT INTO room_by_kind (kind, bytes, measured_at) VALUES (:kind, :bytes, :measured_at)",
        [{"kind": kind, "bytes": taken, "measured_at": unit.now_text} for kind, taken in kinds.items()],
    )


def stored(unit: ReadUnit) -> SpaceTaken | None:
    """Return the stored measurement; None before the first one."""
    rows = unit.all("SELECT kind, bytes, measured_at FROM room_by_kind")
    if not rows:
        return None
    kinds = {SpaceKind(row["kind"]): int(row["bytes"]) for row in rows if row["kind"] in set(SpaceKind)}
    return SpaceTaken(kinds, moments.from_text(rows[0]["measured_at"]))


def _number(unit: ReadUnit, pragma: str) -> int:
    row = unit.one(f"PRAGMA {pragma}")
    assert row is not None, "these pragmas always return a row"
    return int(row[0])


def _has_statistics(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'dbstat'").fetchone() is not None


def _measured(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Yield the bytes of each tree of pages, by its table. Each tree is read in a snapshot of its own."""
    trees = connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE rootpage > 0").fetchall()
    for name, table in [*trees, ("sqlite_schema", "sqlite_schema")]:
        (taken,) = connection.execute("SELECT SUM(pgsize) FROM dbstat WHERE name = ?", (name,)).fetchone()
        yield table, taken or 0


def _estimated(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Yield the estimated bytes of each table, which add up to the pages in use."""
    size, count, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    weights = {table: _weight(connection, table) for table in tables if not table.startswith("sqlite_")}
    whole = sum(weights.values()) or 1
    for table, weight in weights.items():
        yield table, (count - free) * size * weight // whole


def _weight(connection: sqlite3.Connection, table: str) -> int:
    """Return the number of a table's rows times the mean length of some of them."""
    (rows,) = connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()  # noqa: S608 - a name of the schema
    if not rows:
        return 0
    columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    lengths = " + ".join(f'COALESCE(LENGTH(CAST("{column}" AS BLOB)), 0)' for column in columns)
    sample = f'SELECT {lengths} AS length FROM "{table}" LIMIT {_SAMPLED_ROWS}'  # noqa: S608 - as above
    (length,) = connection.execute(f"SELECT AVG(length) FROM ({sample})").fetchone()  # noqa: S608 - as above
    return int(rows * (length + _BYTES_BESIDE_A_ROW))


def _count_backups(folder: Path) -> int:
    with suppress(OSError):
        return sum(made_at(each.name) is not None for each in folder.iterdir())
    return 0


def _sizes(folder: Path, deepest: int) -> Iterator[int]:
    """Yield the sizes of the files in a folder and those below, without following links."""
    with suppress(OSError):
        for each in folder.iterdir():
            if each.is_symlink():
                continue
            if each.is_dir():
                if deepest:
                    yield from _sizes(each, deepest - 1)
            else:
                yield files.size_of(each)

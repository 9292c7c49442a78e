-- The size of the database and of everything else on its disk, once a day, for the forecast of a full disk
-- (store.upkeep.disk_days). A few weeks are kept.
CREATE TABLE disk_days (
    day TEXT PRIMARY KEY,
    measured_at TEXT NOT NULL,
    database_bytes INTEGER NOT NULL,
    other_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What takes up the space in the database, by kind, as last measured (store.upkeep.space).
CREATE TABLE room_by_kind (
    kind TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    measured_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

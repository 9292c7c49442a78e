-- The steps of the setup that were done, each with the time when that was noticed, and `dismissed`.
CREATE TABLE setup_marks (
    name TEXT PRIMARY KEY,
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

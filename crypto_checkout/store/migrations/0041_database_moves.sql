-- A copy of all data to another place (crypto-checkout database copy), seen from either place.
CREATE TABLE database_moves (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- "arriving" while the copy to here isn't complete, "moved" once all of this is elsewhere.
    state TEXT NOT NULL CHECK (state IN ('arriving', 'moved')),
    -- The other place, without its password.
    place TEXT NOT NULL,
    -- The life of the database that is copied, empty for one without a name.
    life TEXT NOT NULL,
    since TEXT NOT NULL,
    -- The statements that make the indexes again, as JSON: they are left out until all rows are there.
    indexes TEXT NOT NULL
) STRICT;

CREATE TABLE arrived_tables (
    name TEXT PRIMARY KEY,
    -- The key of the last row that arrived, as JSON.
    last_key TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- For each page of sessions, in the order in which they were made: the block up to which their addresses were looked at
-- in the slow round. Blocks of a session's first hours are also read in every turn of the watcher.
CREATE TABLE late_pages (
    chain_id INTEGER NOT NULL,
    page INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    PRIMARY KEY (chain_id, page)
) STRICT, WITHOUT ROWID;

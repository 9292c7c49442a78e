-- What was in one process's memory, or in its folder, and several processes share (store.owner.set_up_links,
-- store.owner.shared_key, store.sandbox.tasks).

-- The one-time links for the first password, one for each process that showed one, as digests.
CREATE TABLE set_up_links (
    sha256 TEXT PRIMARY KEY,
    good_until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The name of the key in secret.key, which is beside each process: what one encrypts, the others read.
CREATE TABLE shared_key (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    key_id TEXT NOT NULL
) STRICT;

-- What test helpers asked of the simulated chain at a process that doesn't lead; the leader does it, in this order.
CREATE TABLE sandbox_tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    operation TEXT NOT NULL,
    -- Both as JSON. The answer is NULL until it is done.
    arguments TEXT NOT NULL,
    answer TEXT,
    created_at TEXT NOT NULL
) STRICT;

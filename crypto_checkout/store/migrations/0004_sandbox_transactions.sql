-- The transactions of the sandbox chain: each is written once, so the chain's state stays small.
CREATE TABLE sandbox_transactions (
    seq INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    place INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    units TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('native', 'internal', 'token')),
    contract TEXT
) STRICT;

CREATE UNIQUE INDEX sandbox_transactions_by_hash ON sandbox_transactions (hash, place);

-- The operator -> returns a number as it was written: units can have more digits than SQLite's integers.
INSERT INTO sandbox_transactions (hash, place, block_number, recipient, units, kind, contract)
SELECT value ->> '$.hash', 0, value ->> '$.block_number', value ->> '$.to', value -> '$.units', value ->> '$.kind',
    value ->> '$.contract'
FROM sandbox, json_each(sandbox.state, '$.transactions')
ORDER BY key;

UPDATE sandbox
SET state = json_remove(state, '$.transactions');

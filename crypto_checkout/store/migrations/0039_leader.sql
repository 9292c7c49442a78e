-- Of several processes that serve one database on a server, exactly one leads: see store.postgresql.leadership.
CREATE TABLE leader (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Rises whenever a process begins to lead. What a leader writes carries its term, and an earlier one is refused.
    term INTEGER NOT NULL,
    -- Of this term: the process, as 4242@shop-1, and since when it leads.
    process TEXT,
    since TEXT,
    -- The term whose leader was asked to step back.
    asked_to_end INTEGER,
    -- What only the leader sees of the chains, as JSON, for the others' pages and answers.
    seen TEXT NOT NULL
) STRICT;

INSERT INTO leader (only_row, term, process, since, asked_to_end, seen) VALUES (1, 0, NULL, NULL, NULL, '{}');

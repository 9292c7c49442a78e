-- The bodies of events are packed in the background, into fewer bytes: then `body` is empty and `packed` has it.
ALTER TABLE events ADD COLUMN packed BLOB;

CREATE TABLE event_packing (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Every event up to this one is packed, or packs into no less.
    done_seq INTEGER NOT NULL
) STRICT;

INSERT INTO event_packing (only_row, done_seq) VALUES (1, 0);

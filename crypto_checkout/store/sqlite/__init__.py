"""SQLite, the default engine: one file, one writer with group commit, and a few read-only readers."""

"""The sizes of the database, its tables and its disk, and the newest version that was heard of."""

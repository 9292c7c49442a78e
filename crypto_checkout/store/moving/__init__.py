"""Moving all data to another place: from a file to a PostgreSQL server, back, or to another server.

`copying` is the way; what it asks of an engine is in `store.sqlite.whole` and `store.postgresql.whole`. `mark` is the
note in each database that keeps a server from the one that was left, and from one that isn't complete.
"""

"""PostgreSQL, for shops that outgrow one machine: the same statements, on threads of their own.

`statements` translates what is written for SQLite, `schema` the tables; `connection` has the names of sqlite3, so that
units of work know neither engine, and `session` opens it to the `primary`. `peers` are the other processes on the same
database, and `election` decides which of them leads. Nothing here is imported unless `[database] url` names a server.

One process writes at a time: each write begins with an advisory lock, as SQLite's takes the file's. So the order of
`seq` is the order of commits. All processes that serve share another one, each for as long as its writing session
lives. `locks` has them all.
"""

"""The advisory locks of a database on a server, which no table shows: see `pg_locks`."""

SPACE = 0x43434B54
"""The first of a lock's two numbers, so that ours are apart from those of other programs."""

WRITE = 1
"""Held by a transaction that writes, from its begin to its end."""

SERVE = 2
"""Shared by the sessions that servers of ours write through, so that nobody changes the tables under them."""

MIGRATE = 3
"""Held by the session that changes the tables."""

LEADER = 4
"""Held by the leader, through a session of its own: `election`."""

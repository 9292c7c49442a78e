"""The JSON API: one table of operations, and what turns it into answers."""

"""Following a chain: its newest block, and ranges of blocks behind it."""

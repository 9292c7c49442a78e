"""Reading the chain after its last processed block, no more of it than the evidence needs.

`reader` reads the next `stretch` of blocks, whole ones `ahead` of those that are processed, `late_round` looks at the
addresses of sessions that ended long ago. `first_balances` reads what new addresses hold, `outflows` finds what left by
logs, `bisection` the blocks in which balances changed, `owners` whose an address is. `pauses` and `progress` are parts
of the watcher's loop.
"""

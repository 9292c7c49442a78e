"""Leading: one of several processes runs the loops that follow chains, send, and tidy up; the others answer.

`loops` starts and ends them, and `board` shows the others what only the leader sees.
"""

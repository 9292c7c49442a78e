"""Leading: one of several processes runs the loops that follow chains, send, and keep house; the others answer.

`loops` starts and ends them, and `board` shows the others what only the leader sees.
"""

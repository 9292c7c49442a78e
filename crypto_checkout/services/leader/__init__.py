"""Leader election: one of several processes runs the loops that follow chains, send, and tidy up; all answer requests.

`election` decides when its `loops` run, and `report` has the leader tell the followers what it knows of the chains.
"""

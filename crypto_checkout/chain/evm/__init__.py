"""A real EVM chain: its blocks and transfers, balances, and transactions.

`chain` is the interface for services; the other modules each read one kind of thing from one provider, as functions
that take an `Ask`. All JSON passes through `decoding`, which refuses what doesn't fit the question. Never here: HTTP,
the choice of a provider (`chain.rpc`), or state kept across restarts.
"""

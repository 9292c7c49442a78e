"""A real EVM chain: its blocks and transfers, balances, and transactions.

`chain` is the interface for services. Most other modules read one kind of thing from one provider, as functions that
take an `Ask`; `agreement`, `block_times` and `doubts` hear several before something is believed, `following` reads
heads and ranges of blocks, and `proof` checks a block by its hash. All JSON passes through `decoding`, which refuses
what doesn't fit the question. Never here: HTTP, the choice of a provider (`chain.rpc`), or state kept across restarts.
"""

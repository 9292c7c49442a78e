"""The ledger's rules: following a chain, comparing balances, and judging a session by its payments.

Everything here is a function of evidence: fetching it is `services.ledger`'s work, keeping it `store.ledger`'s. A rule
about a session's status belongs in `assess`, one about blocks and reorganisations in `follow`.
"""

"""The chain as far as it was processed: cursors, payments, unmatched payments, and expected balances.

Rows change only in the write that moves a chain's cursor, or that rolls it back. What a payment means for its session
is decided by `core.ledger`.
"""

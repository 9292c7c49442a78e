"""The chain as far as it was processed: cursors, payments, unmatched payments, and expected balances.

Their rows change only in a write that moves a chain's cursor, rolls it back, or has checked that it stands where the
evidence was read. `differences` holds what `services.diagnosis.background_reconcile` finds; `credits` reads both tables
of payments, and `unnamed` keeps those in them without a known transaction. What a payment means for its session is
decided by `core.ledger`.
"""

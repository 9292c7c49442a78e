"""Sessions, payment links and customers, the next index of each wallet, and sessions' totals and search terms.

Payments are in `store.ledger`, which imports nothing from here.
"""

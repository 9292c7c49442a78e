"""Checkout: sessions and their statuses, payment links, customers, quotes, and the texts that ask a wallet to pay.

`core.ledger.assess` decides which status a session has. To add a status, see `core.checkout.session.STATUSES`.
"""

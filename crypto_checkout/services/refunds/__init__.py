"""Refunds: the merchant's and the payer's requests, approval, and the recognition of payments on the chain.

The server never pays: it shows what is to pay, and notices that it was paid from the owner's wallet.
"""

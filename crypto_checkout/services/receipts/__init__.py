"""Receipts: numbered in the write that settles a session, signed, shown, and mailed.

`issuer` writes the receipt and its mails with what makes them due; `sender` sends the mails, `days` makes the owner's
daily one, `signing_key` has the key, and `reader` gathers all that a receipt shows. Nothing here decides about money.
"""

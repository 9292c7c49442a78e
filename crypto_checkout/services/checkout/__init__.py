"""Checkout sessions, payment links and customers: quoting, making, reading, choosing, deciding.

Moving a session along as its money arrives is `services.ledger`'s work, and nothing here asks a chain. A new
field of a session goes through `SessionRequest`, `Sessions` and `core.public.render`; a read belongs in
`session_reader`, which needs neither wallet nor prices.
"""

"""Refunds: money that goes back to a payer, from the owner's own wallet. No key is involved here.

`refund` has the refund and its statuses, `claims` a payer's claim to one with its proof, `recognition` the decision
which transfer on the chain pays which refund. Database, network and pages are elsewhere.
"""

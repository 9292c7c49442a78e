"""Receipts of settled sessions: their numbers, their seller, and the mails that carry them.

`receipt` has the values, `mail` the outbox's rows and the times of its attempts.
"""

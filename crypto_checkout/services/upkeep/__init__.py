"""Upkeep of a running server: retention, RPC usage, backup downloads, and watches over the database and the clock.

Clean-up runs in small parts, so that no other writer waits long.
"""

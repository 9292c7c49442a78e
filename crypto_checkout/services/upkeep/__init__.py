"""Loops and tasks that keep the data folder in order: retention, RPC usage, backup downloads.

Clean-up runs in small parts, so that no other writer waits long.
"""

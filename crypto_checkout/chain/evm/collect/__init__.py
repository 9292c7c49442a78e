"""Collecting on an EVM chain: what deposits and plans need to know of it, and signed transactions sent. Never a key.

See `core.collect`.
"""

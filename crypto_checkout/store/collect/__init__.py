"""Rows about moving money on: wallets of cold-address mode, and what their chains showed."""

"""Rows about moving money on: holdings, wallets of cold-address mode, and what their chains showed."""

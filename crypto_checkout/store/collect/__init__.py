"""Rows about moving money on: holdings, collections, wallets of cold-address mode, and what their chains showed."""

"""Wallet."""

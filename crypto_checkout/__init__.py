"""Crypto Checkout: a self-hosted payment server for ETH and tokens on EVM chains."""

__version__ = "0.1.0"

"""Proofs by a block's own hash that it holds a transfer.

The hash covers the header, the header has the roots of transactions and receipts, and a root covers all below it. So a
node that invents a transfer, or alters one, would have to invent a whole block. Money that contracts send is below
neither root: no such proof covers it. `encoding` writes what is hashed, `recompute` checks a block, `prove` gets one
from a provider.
"""

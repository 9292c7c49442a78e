"""The tables of refunds: the refunds themselves, and the claims of payers to them."""

"""Finding the money and moving it on: from deposits of a cold address, and from a wallet's own addresses.

`records` keeps what was collected, whoever did it. Never here: a key. Plans are signed by `chain.wallet.signing`, where
the recovery phrase is.
"""

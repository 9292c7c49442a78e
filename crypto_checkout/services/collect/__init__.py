"""Moving money on: which chains can have deposits, how to collect from them, and from a wallet's own addresses.

Never here: a key. Plans are signed by `chain.wallet.signing`, where the recovery phrase is.
"""

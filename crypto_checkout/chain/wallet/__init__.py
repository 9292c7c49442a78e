"""The wallet's public half: `xpub` derives deposit addresses, `mnemonic` makes a wallet for `init`.

Never here: a private key that outlives a function call, or one on disk, in a log or in a message.
"""

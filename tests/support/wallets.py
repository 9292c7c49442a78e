"""Wallets by their recovery phrase, as the merchant's own program would open them."""

from eth_account.hdaccount import seed_from_mnemonic

from crypto_checkout.chain.wallet.mnemonic import _account_key


def xpub_of(mnemonic: str, passphrase: str = "") -> str:
    """Return the xpub of m/44'/60'/0' of a phrase."""
    return str(_account_key(seed_from_mnemonic(mnemonic, passphrase)))

"""A new wallet from entropy: twelve words for the merchant's paper, and the extended public key for the server.

Private keys exist inside two functions here for a few milliseconds and never leave them. Nothing is written, printed
or logged. Used by `init` only: the server itself knows only the xpub.
"""

import hmac
from dataclasses import dataclass, field

from crypto_checkout.chain.wallet.spelling import HARDENED
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey

ENTROPY_BYTES = 16
_ACCOUNT = (44 + HARDENED, 60 + HARDENED, 0 + HARDENED)  # m/44'/60'/0'


@dataclass(frozen=True, slots=True)
class NewWallet:
    """A wallet made by `new_wallet`. The mnemonic gives access to the money, so no repr shows it."""

    mnemonic: str = field(repr=False)
    xpub: str


def new_wallet(entropy: bytes) -> NewWallet:
    """Turn 16 random bytes into 12 English words (BIP-39) and the xpub of their first account."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a wallet takes {ENTROPY_BYTES} bytes of entropy, not {len(entropy)}")
    # eth_account takes more than a second to import; `--help` must not wait for it.
    from eth_account.hdaccount.mnemonic import Mnemonic

    words = Mnemonic().to_mnemonic(entropy)
    return NewWallet(words, str(_account_key(Mnemonic.to_seed(words))))


def _account_key(seed: bytes) -> ExtendedPublicKey:
    """Derive the account's key (BIP-32, CKDpriv) and keep its public half."""
    from eth_account.hdaccount.deterministic import HardNode, derive_child_key
    from eth_keys.datatypes import PrivateKey

    master = hmac.digest(b"Bitcoin seed", seed, "sha512")
    secret, chain_code = master[:32], master[32:]
    node = ExtendedPublicKey(0, bytes(4), 0, chain_code, PrivateKey(secret).public_key.to_compressed_bytes())
    for number in _ACCOUNT:
        secret, chain_code = derive_child_key(secret, chain_code, HardNode(number - HARDENED))
        point = PrivateKey(secret).public_key.to_compressed_bytes()
        node = ExtendedPublicKey(node.depth + 1, node.fingerprint, number, chain_code, point)
    return node

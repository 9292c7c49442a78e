"""An address of the wallet that no session has, although the wallet's next index is beyond it."""

from dataclasses import dataclass

from crypto_checkout.core.address import Address


def derivation_path(index: int) -> str:
    """Write the place of a deposit address in the wallet, as wallets write it (BIP-44)."""
    return f"m/44'/60'/0'/0/{index}"


@dataclass(frozen=True, slots=True)
class UnassignedAddress:
    """An address that was given out and forgotten, as by a restore, or passed over.

    `used_before` marks the owner's own: the chain showed it as used before the database gave out any of the wallet's.
    """

    wallet_id: str
    derivation_index: int
    address: Address
    livemode: bool
    used_before: bool = False

    @property
    def path(self) -> str:
        """Its place in the wallet."""
        return derivation_path(self.derivation_index)

    @property
    def name(self) -> str:
        """Its number and place, for people."""
        return f"address number {self.derivation_index} ({self.path})"

"""An address of the wallet that no session has, although the wallet's next index is beyond it."""

from dataclasses import dataclass

from crypto_checkout.core.address import Address


def derivation_path(branch: str | None, index: int) -> str | None:
    """Return the derivation path of an address below a branch (BIP-44); None without a branch."""
    return None if branch is None else f"{branch}/{index}"


def place_in_wallet(index: int, path: str | None) -> str:
    """Write the number of an address, and its derivation path where that is known."""
    return f"address number {index}" + (f" ({path})" if path else "")


@dataclass(frozen=True, slots=True)
class UnassignedAddress:
    """An address that was given out and forgotten, as by a restore, or passed over.

    `used_before` marks the owner's own: the chain showed it as used before the database gave out any of the wallet's.
    `address_path` is its derivation path, None if it isn't known.
    """

    wallet_id: str
    derivation_index: int
    address: Address
    livemode: bool
    used_before: bool = False
    address_path: str | None = None

    @property
    def name(self) -> str:
        """Its number and place, for people."""
        return place_in_wallet(self.derivation_index, self.address_path)

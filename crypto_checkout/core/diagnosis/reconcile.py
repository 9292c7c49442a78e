"""Compare what was credited to an address with what the chain shows, and say what a difference may mean. Pure.

For each address, chain and asset: credited = balance + swept. Credited is every payment in a canonical block, asked for
or not; swept is what left the address, fees included.
"""

from dataclasses import dataclass

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.diagnosis.explanation import amount


@dataclass(frozen=True, slots=True)
class AddressBalance:
    """What is known of one asset at one address, in smallest units, at one block.

    `has_sent` tells that the address sent transactions by then. `swept` is None where no node can tell how much left.
    """

    chain_id: int
    chain: str
    address: Address
    session_id: str
    asset: Asset
    credited: int
    balance: int
    has_sent: bool
    swept: int | None

    @property
    def difference(self) -> int:
        """How much more the chain shows than was credited; less is negative. What can't be known makes none."""
        if self.swept is not None:
            return self.balance + self.swept - self.credited
        return max(0, self.balance - self.credited)

    @property
    def is_proven(self) -> bool:
        """Whether all that the sum needs is known."""
        return self.swept is not None


def reason(account: AddressBalance) -> str:
    """Say what most likely explains a difference, or why none could be ruled out."""
    if account.difference > 0 and account.asset.is_native:
        return (
            "Money came that the server did not see: most likely a contract sent it later than an hour after the "
            "session's time of grace, or it came in a block before start_block."
        )
    if account.difference > 0:
        return (
            "Tokens came that the server did not see: was this token configured after they came? Or it is a token "
            "that changes balances by itself."
        )
    if account.difference < 0 and not account.asset.is_native:
        return (
            "More was credited than the chain shows: the ledger was changed, a node showed a transfer that is not on "
            "the chain, or it is a token that changes balances by itself."
        )
    if account.difference < 0:
        return (
            "More was credited than the chain shows: the ledger was changed, or a node showed a payment that is not "
            "on the chain."
        )
    return "It sent transactions, and no node remembers how much they took: that needs an archive node in rpc_urls."


def advice(account: AddressBalance) -> str:
    """Say what to do about a difference."""
    shown = checksum(account.address)
    if account.difference > 0:
        return (
            f"The money is your wallet's. Look {shown} up on an explorer, and settle it with the payer of "
            f"{account.session_id}."
        )
    if account.difference < 0:
        return (
            f"Compare each payment of `crypto-checkout explain {account.session_id}` with an explorer before you "
            "deliver; give a second provider and confirm_with = 2."
        )
    return f"Or compare {shown} with an explorer by hand."


def figures(account: AddressBalance) -> str:
    """Write both sides."""
    swept = "unknown" if account.swept is None else amount(account.asset, account.swept)
    return (
        f"credited {amount(account.asset, account.credited)}, on the chain {amount(account.asset, account.balance)}, "
        f"swept {swept}"
    )

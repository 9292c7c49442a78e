"""Reconcile the payments credited to an address with the chain, and explain a difference.

For each address, chain and asset: credited = balance + swept. Credited is the sum of all payments in canonical blocks,
matched or not; swept is the amount that left the address, fees included.
"""

from dataclasses import dataclass

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.unassigned_address import place_in_wallet
from crypto_checkout.core.diagnosis.explanation import amount


@dataclass(frozen=True, slots=True)
class AddressBalance:
    """The figures of one asset at one address at one block, in smallest units.

    `session_id` is its session; an unassigned address has none. `derivation_index` and `address_path` are its place in
    the wallet; the path is None if it isn't known. `has_sent` if the address has sent transactions by then; `swept` is
    None if no node can tell how much left it.
    """

    chain_id: int
    chain: str
    address: Address
    session_id: str | None
    derivation_index: int
    address_path: str | None
    asset: Asset
    credited: int
    balance: int
    has_sent: bool
    swept: int | None

    @property
    def owner(self) -> str:
        """Its session, or that it has none."""
        return self.session_id or "without a session"

    @property
    def place(self) -> str:
        """Its number and place in the wallet."""
        return place_in_wallet(self.derivation_index, self.address_path)

    @property
    def difference(self) -> int:
        """The chain's figure less the credited one. With an unknown `swept`, only a surplus counts as a difference."""
        if self.swept is not None:
            return self.balance + self.swept - self.credited
        return max(0, self.balance - self.credited)

    @property
    def is_proven(self) -> bool:
        """True if every figure of the sum is known."""
        return self.swept is not None


def reason(account: AddressBalance) -> str:
    """Return the most likely explanation of a difference, or the reason why one can't be ruled out."""
    if account.difference > 0 and account.asset.is_native:
        return (
            "Money came that the server did not see: most likely in a block before start_block, or at the address of "
            "an old session, which is looked at every ten minutes or so."
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
    """Return the advice about a difference."""
    shown = checksum(account.address)
    if account.difference > 0:
        return (
            f"The money is your wallet's. Look {shown} up on an explorer, and settle it with the payer of "
            f"{account.session_id or 'the session that this database forgot'}."
        )
    if account.difference < 0:
        return (
            f"Compare each payment of `crypto-checkout explain {account.session_id or shown}` with an explorer before "
            "you deliver; give a second provider and confirm_with = 2."
        )
    return f"Or compare {shown} with an explorer by hand."


def figures(account: AddressBalance) -> str:
    """Write both sides of the sum."""
    swept = "unknown" if account.swept is None else amount(account.asset, account.swept)
    return (
        f"credited {amount(account.asset, account.credited)}, on the chain {amount(account.asset, account.balance)}, "
        f"swept {swept}"
    )

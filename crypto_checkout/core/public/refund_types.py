"""The public shape of refunds; the conventions are those of `core.public.types`."""

from typing import Literal

from typing_extensions import TypedDict

from crypto_checkout.core.public.formats import Address, Hash, Moment, Url
from crypto_checkout.core.public.names import DestinationProofName, RefundState
from crypto_checkout.core.public.types import AmountResource


class RefundResource(TypedDict):
    """A refund: money that goes back to a payer, from your own wallet."""

    id: str
    """`ref_…`; sortable by time."""
    object: Literal["refund"]
    """The type of this object."""
    livemode: bool
    """Whether it is about real money; false in test mode."""
    sessionId: str
    """The session whose address received the money."""
    chainId: int
    """The chain on which it is paid (EIP-155): the one on which the money came."""
    asset: str
    """The coin."""
    amount: AmountResource
    """The amount to pay back."""
    reason: str | None
    """Your own words; payers see them."""
    destination: Address | None
    """The address that gets the money (EIP-55). Until the refund is approved, a better proven one can replace it."""
    proof: DestinationProofName
    """The reason to believe that the address is the payer's: a `signature` of the paying account, a code mailed to the
    customer's `email`, the `merchant` gave it, or `none`."""
    status: RefundState
    """The status of the refund. It is `paid` once the payment is deep enough in the chain."""
    txHash: Hash | None
    """The transaction that pays it, or is said to."""
    logIndex: int | None
    """The index of the transfer's log in its block; null for native coins, and until it is seen."""
    claimUrl: Url
    """The page on which the payer says where the money shall go."""
    paymentUri: str | None
    """The URI for your wallet to open or scan (EIP-681); null unless it is `to_pay`."""
    approvedAt: Moment | None
    """The time of the owner's approval."""
    paidAt: Moment | None
    """The time at which the payment was deep enough."""
    createdAt: Moment
    """The time of creation."""
    updatedAt: Moment
    """The time of the last change."""

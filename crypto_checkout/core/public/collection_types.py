"""The public shape of collections; the conventions are those of `core.public.types`."""

from typing import Literal

from typing_extensions import TypedDict

from crypto_checkout.core.public.formats import Address, Hash, Moment
from crypto_checkout.core.public.names import CollectionState, CollectionWayName
from crypto_checkout.core.public.types import AmountResource, FiatResource


class CollectedItemResource(TypedDict):
    """An amount that a collection moved from one address."""

    sessionId: str | None
    """The session whose address it was; null for an address without one."""
    address: Address
    """The address (EIP-55)."""
    asset: str
    """The coin."""
    amount: AmountResource
    """The amount that left the address."""


class CollectionFeeResource(TypedDict):
    """The fee of a transaction, whoever paid it."""

    amount: AmountResource
    """The fee, in the chain's coin."""
    fiat: FiatResource | None
    """What it was worth when it was recorded; null if there was no price."""


class CollectionResource(TypedDict):
    """A collection: a transaction by which money left your payment addresses, whoever sent it."""

    id: str
    """`col_…`; sortable by time."""
    object: Literal["collection"]
    """The type of this object."""
    livemode: bool
    """Whether it is about real money; false in test mode."""
    chainId: int
    """The chain (EIP-155)."""
    txHash: Hash
    """The transaction."""
    status: CollectionState
    """The status: `seen` in a block, `confirmed` once that is deep enough, `reorged` if the chain dropped it. What the
    server sends itself is `sent` before, and `failed` if it moved nothing."""
    way: CollectionWayName
    """The way out: by the addresses' own `contract`, which anybody may call and which pays one destination only; or by
    a `transfer` that the address's key allowed."""
    destination: Address | None
    """The address that got the money (EIP-55); null if there are several, or none is known."""
    items: list[CollectedItemResource]
    """The amounts by address. Those of sessions that ended long ago can be added minutes later."""
    totals: list[AmountResource]
    """The sum of each coin."""
    fee: CollectionFeeResource | None
    """The transaction's fee; null until a node has told it."""
    blockNumber: int | None
    """The block that it is in, or was in last; null before there is one."""
    collectedAt: Moment | None
    """The time of that block; null before there is one."""
    confirmedAt: Moment | None
    """The time at which it was deep enough."""
    createdAt: Moment
    """The time of the record."""
    updatedAt: Moment
    """The time of the last change."""

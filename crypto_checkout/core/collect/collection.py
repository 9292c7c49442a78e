"""Collections: transactions by which money left our addresses, whoever sent them; made from outflows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.ledger.outflow import FEE, Outflow
from crypto_checkout.core.money import CoinUnits, Fiat

CURRENCY = "USD"
"""The currency in which fees are recorded, besides the coin."""

COIN_DECIMALS = 18
_CENT = Decimal("0.01")


class CollectionStatus(StrEnum):
    """The course of a collection: sent by this server, in a block, deep in the chain; failed, or its block dropped."""

    SENT = "sent"
    SEEN = "seen"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    REORGED = "reorged"


class CollectionWay(StrEnum):
    """The ways out: the addresses' own code sent it on, whoever called that; or transfers that a key allowed."""

    CONTRACT = "contract"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True)
class CollectedItem:
    """An amount that a collection moved from one address. An address without a session has none."""

    session_id: str | None
    address: Address
    asset: Asset
    units: int


@dataclass(frozen=True, slots=True)
class CollectionFee:
    """The fee of a collection's transaction, whoever paid it, in the chain's coin, given by its symbol.

    `price` is that of one coin in US dollars at the time; None if there was none.
    """

    asset: str
    units: CoinUnits
    price: Decimal | None

    @property
    def worth(self) -> Fiat | None:
        """The fee in US dollars at the time."""
        if self.price is None:
            return None
        return Fiat((Decimal(self.units).scaleb(-COIN_DECIMALS) * self.price).quantize(_CENT), CURRENCY)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection. `destination` is None if it went to several addresses, `fee` until a node has told it.

    One that was sent, and is in no block yet, has neither `block_number` nor `block_time`.
    """

    id: str
    livemode: bool
    chain_id: int
    tx_hash: str
    status: CollectionStatus
    way: CollectionWay
    destination: Address | None
    items: tuple[CollectedItem, ...]
    fee: CollectionFee | None
    block_number: int | None
    block_time: datetime | None
    created_at: datetime
    updated_at: datetime
    confirmed_at: datetime | None = None

    @property
    def totals(self) -> list[tuple[Asset, int]]:
        """The sum of each asset."""
        sums: dict[Asset, int] = {}
        for item in self.items:
            sums[item.asset] = sums.get(item.asset, 0) + item.units
        return [*sums.items()]


def moved(outflows: Sequence[Outflow]) -> list[Outflow]:
    """Return those of a transaction's outflows that went somewhere: all but fees."""
    return [each for each in outflows if each.log_index != FEE]


def way_of(outflows: Sequence[Outflow]) -> CollectionWay:
    """Return the way out of a transaction's outflows."""
    return CollectionWay.CONTRACT if any(each.is_collected for each in outflows) else CollectionWay.TRANSFER


def destination_of(outflows: Sequence[Outflow]) -> Address | None:
    """Return the address to which all of them went; None if there is none."""
    found = {each.destination for each in outflows}
    return found.pop() if len(found) == 1 else None

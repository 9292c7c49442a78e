"""A range of blocks as one node shows it, without the blocks themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer


@dataclass(frozen=True, slots=True)
class RangeReading:
    """The blocks after a processed one, up to `last`.

    `links` are the headers to compare with the processed block, oldest first (`core.ledger.follow.follow`).
    `transfers` are those of tokens that the logs show, `collected` what addresses say was collected from them; each has
    the time of the last block until its own is known. `matching` are the groups of addresses whose balances
    after the last block are the expected ones.
    """

    last: Header
    links: tuple[Header, ...]
    transfers: tuple[Transfer, ...]
    matching: Sequence[ExpectedGroup]
    collected: tuple[Transfer, ...] = ()

"""All that came to a session's address, for its page: what counts, what came late, what it didn't ask for.

The symbol and the decimals of a coin are those of the configuration, never what a contract says of itself: anybody can
deploy a token that is called like another. Pure functions; no texts or HTTP here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from crypto_checkout.core import moments
from crypto_checkout.core.address import checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.ledger.payment import Payment, Transfer
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import AmountResource, SessionResource
from crypto_checkout.http.explorers import transaction_url
from crypto_checkout.services.checkout.session_reader import Receipts

from .view import PayerChain, PayingTransaction, View

_MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """A transfer to a session's address.

    `amount` is None for a token that isn't configured any more: then only its `contract` is known. `remark` is the key
    of what sets it apart from an ordinary payment.
    """

    amount: AmountResource | None
    contract: str | None
    chain_id: int
    chain_name: str
    at: str
    transaction: PayingTransaction | None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The newest arrivals, oldest first, and the number of those before them."""

    listed: tuple[Arrival, ...]
    more: int

    @property
    def has_wrong(self) -> bool:
        """True if something came that the session didn't ask for."""
        return any(each.remark == "came_wrong" for each in self.listed)

    @property
    def has_unchosen(self) -> bool:
        """True if something came before its payer chose a coin."""
        return any(each.remark == "came_unchosen" for each in self.listed)

    @property
    def is_plain(self) -> bool:
        """True if there is nothing to tell but an ordinary payment, if any."""
        return len(self.listed) <= 1 and not self.more and all(each.remark is None for each in self.listed)


NOTHING = Arrivals((), 0)


@dataclass(frozen=True, slots=True)
class RefundOffer:
    """The refunds of a session: whether its payer can ask for one, whether there are any, and the amounts paid back."""

    can_ask: bool = False
    is_under_way: bool = False
    refunded: tuple[AmountResource, ...] = ()


NO_REFUND = RefundOffer()


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Everything that the template of a session's page shows: of the page itself, and of the dashboard's sample."""

    view: View
    app_links: Mapping[str, str] = field(default_factory=dict)
    link: Link | None = None
    may_correct: bool = False
    arrivals: Arrivals = NOTHING
    refund: RefundOffer = NO_REFUND
    version: str = ""

    def context(self) -> dict[str, Any]:
        """Return it by the names of the template."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def arrivals(receipts: Receipts, chains: Mapping[int, PayerChain]) -> Arrivals:
    """Return what came for a session, without dust."""
    session = receipts.rendered.resource
    found = sorted(_all(session, receipts, chains), key=lambda each: each.at)
    return Arrivals(tuple(found[-_MOST_LISTED:]), max(0, len(found) - _MOST_LISTED))


def _all(session: SessionResource, receipts: Receipts, chains: Mapping[int, PayerChain]) -> Iterator[Arrival]:
    yield from _paid(session, chains)
    for each in _single(receipts.taken_back):
        yield _arrival(each, session["chainId"], chains, "came_reversed")
    for unmatched in receipts.unmatched:
        for each in _single([unmatched.payment]):
            remark = "came_wrong" if session["assetChosen"] else "came_unchosen"
            yield _arrival(each, unmatched.chain_id, chains, remark)


def _paid(session: SessionResource, chains: Mapping[int, PayerChain]) -> Iterator[Arrival]:
    chain = _chain(chains, session["chainId"])
    for each in session["payments"]:
        if not render.is_dust(session, each):
            transaction = _transaction(each["txHash"], chain)
            remark = "came_late" if each["blockTime"] > session["expiresAt"] else None
            yield Arrival(each["amount"], None, session["chainId"], chain.name, each["blockTime"], transaction, remark)


def _arrival(transfer: Transfer, chain_id: int, chains: Mapping[int, PayerChain], remark: str) -> Arrival:
    chain = _chain(chains, chain_id)
    asset = _asset(chain.assets, transfer)
    return Arrival(
        None if asset is None else render.amount(asset, transfer.units),
        None if transfer.contract is None else checksum(transfer.contract),
        chain_id,
        chain.name,
        moments.to_text(transfer.block_time),
        _transaction(transfer.tx_hash, chain),
        remark,
    )


def _single(payments: Iterable[Payment]) -> Iterator[Transfer]:
    return (each.transfer for each in payments if each.dust is None)


def _asset(assets: Iterable[Asset], transfer: Transfer) -> Asset | None:
    return next((each for each in assets if each.contract == transfer.contract), None)


def _chain(chains: Mapping[int, PayerChain], chain_id: int) -> PayerChain:
    return chains.get(chain_id) or PayerChain(f"chain {chain_id}", "")


def _transaction(tx_hash: str | None, chain: PayerChain) -> PayingTransaction | None:
    return None if tx_hash is None else PayingTransaction(tx_hash, transaction_url(chain.explorer_url, tx_hash))

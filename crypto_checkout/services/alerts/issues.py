"""Gather the issues of a mode: from the tables, and those of the running server (`services.alerts.server_issues`)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from crypto_checkout.core.alerts import issues
from crypto_checkout.core.alerts.issues import DISMISSIBLE, Issue, IssueKind
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.refunds.refund import RefundStatus
from crypto_checkout.services.alerts.server_issues import ServerIssues
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.webhooks.endpoints import MOST_ENDPOINTS
from crypto_checkout.store.alerts import issues as store
from crypto_checkout.store.alerts.issues import UncountedPayment
from crypto_checkout.store.checkout import unused_addresses
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import differences
from crypto_checkout.store.ledger.differences import ConfirmedDifference
from crypto_checkout.store.paging import Window
from crypto_checkout.store.refunds import refunds
from crypto_checkout.store.webhooks import endpoints

MOST = 400
"""The most issues of a kind that are gathered, the newest ones."""

MOST_UNUSED_ADDRESSES = 100
"""The most unused addresses in a row that are no issue."""


@dataclass(frozen=True, slots=True)
class IssueList:
    """The issues of a mode. Of the kinds in `cut` there are more than were gathered."""

    issues: tuple[Issue, ...]
    cut: frozenset[IssueKind] = frozenset()


class Issues:
    """The issues of both modes; a mode not in `server` has only those of its tables.

    `chains` are those of both modes, to name the coins of unmatched payments.
    """

    def __init__(
        self, db: Database, server: Mapping[bool, ServerIssues], chains: Collection[AcceptedChain] = ()
    ) -> None:
        self._db = db
        self._server = server
        self._chains = {chain.id: chain for chain in chains}

    async def gather(self, livemode: bool, most: int = MOST) -> IssueList:
        """Return the issues of a mode, the server's own first, and at most `most` of each kind."""
        server = await self.of_server(livemode)
        recorded = await self._db.read(lambda unit: list(self._recorded(unit, livemode, most)))
        cut = {issues[0].kind for issues in recorded if len(issues) > most}
        return IssueList((*server, *(each for issues in recorded for each in issues[:most])), frozenset(cut))

    async def of_server(self, livemode: bool) -> list[Issue]:
        """Return the server's own issues in a mode, without reading a table: it works when the database doesn't."""
        server = self._server.get(livemode)
        return [] if server is None else await server.now()

    async def try_prices(self) -> None:
        """Ask for the prices that new sessions need, so that missing ones become issues."""
        for server in self._server.values():
            await server.try_prices()

    def dismiss(self, cause: str) -> Callable[[WriteUnit], None]:
        """Return the unit that dismisses a cause for good. Raises InvalidBody for a kind that can't be dismissed."""
        if cause.partition(":")[0] not in DISMISSIBLE:
            raise InvalidBody("This can't be dismissed: it goes away once its cause is fixed.", param="cause")

        def work(unit: WriteUnit) -> None:
            store.dismiss(unit, cause)
            for server in self._server.values():
                unit.after_commit(partial(server.dismiss, cause))

        return work

    def _recorded(self, unit: ReadUnit, livemode: bool, most: int) -> Iterator[Sequence[Issue]]:
        """Yield the issues of each kind in the tables; one more than `most` shows that there are more."""
        for status in issues.STATUS_KINDS:
            yield [issues.of_session(each) for each in store.in_status(unit, livemode, status, most + 1)]
        yield [
            issues.of_late_payments(each.owner, each.seq, each.transfer)
            for each in store.late(unit, livemode, most + 1)
            if isinstance(each.owner, Session)
        ]
        yield [self._unmatched(each) for each in store.unmatched(unit, livemode, most + 1)]
        for step in (RefundStatus.AWAITING_APPROVAL, RefundStatus.TO_PAY):
            waiting = refunds.with_status(unit, livemode, step, most + 1)
            yield [issues.of_refund(each) for each in waiting if each.tx_hash is None]
        if livemode:
            yield [self._difference(each) for each in differences.confirmed(unit, most + 1)]
            yield _unused_addresses(unit)
        listed = endpoints.listed(unit, livemode, Window(MOST_ENDPOINTS)).items
        yield [
            issues.of_endpoint(e, e.updated_at, e.disabled_reason, disabled=True) for e in listed if e.disabled_reason
        ]
        yield [
            issues.of_endpoint(
                each, each.failing.since, store.last_failure(unit, each.id) or "see its attempts.", disabled=False
            )
            for each in listed
            if each.active and each.failing is not None
        ]

    def _unmatched(self, payment: UncountedPayment) -> Issue:
        chain = self._chains.get(payment.chain_id)
        known = chain.assets if chain is not None else ()
        asset = next((each for each in known if each.contract == payment.transfer.contract), None)
        owner, came_on = payment.owner, self._name(payment.chain_id)
        if isinstance(owner, UnassignedAddress):
            return issues.of_unassigned(owner, payment.seq, payment.transfer, asset, came_on=came_on)
        return issues.of_unmatched(
            owner,
            payment.seq,
            payment.transfer,
            asset,
            came_on=came_on,
            asked_on=self._name(owner.asset.chain_id),
        )

    def _difference(self, found: ConfirmedDifference) -> Issue:
        difference = found.difference
        return issues.of_difference(
            difference.session_id,
            found.address,
            difference.asset,
            difference.units,
            self._name(difference.asset.chain_id),
            found.confirmed_at,
        )

    def _name(self, chain_id: int) -> str:
        chain = self._chains.get(chain_id)
        return chain.name if chain is not None else f"chain {chain_id}"


def _unused_addresses(unit: ReadUnit) -> list[Issue]:
    found = unused_addresses.longest(unit, livemode=True)
    if found is None or found.count <= MOST_UNUSED_ADDRESSES:
        return []
    issue = issues.of_unused_addresses(found.wallet_id, found.first, found.last, found.since, is_cut=found.is_cut)
    return [] if store.is_dismissed(unit, issue.cause) else [issue]

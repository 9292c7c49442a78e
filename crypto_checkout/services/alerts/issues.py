"""Gather the issues of a mode: from the tables, and those of the running server (`services.alerts.server_issues`)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core.alerts import groups, issues
from crypto_checkout.core.alerts.groups import IssueGroup
from crypto_checkout.core.alerts.issues import DISMISSIBLE, STATUS_KINDS, Issue, IssueKind
from crypto_checkout.core.alerts.mails import of_mail
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.refunds.refund import Refund, RefundStatus
from crypto_checkout.services.alerts.server_issues import ServerIssues
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.webhooks.endpoints import MOST_ENDPOINTS
from crypto_checkout.store.alerts import issues as store
from crypto_checkout.store.alerts.issues import UncountedPayment
from crypto_checkout.store.checkout import links, unused_addresses
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import differences
from crypto_checkout.store.ledger.differences import ConfirmedDifference
from crypto_checkout.store.paging import Window
from crypto_checkout.store.receipts import mails
from crypto_checkout.store.refunds import refunds
from crypto_checkout.store.webhooks import endpoints

MOST = 400
"""The most issues of a kind that are gathered, the newest ones."""

MOST_COUNTED = 1000
"""The number up to which sessions in a status are counted and added up, by a few columns of each."""

_MOST_READ = 250
"""The number up to which other issues are, which are read whole."""

_SHOWN = 3
"""The issues of a group that are shown, the newest ones."""

MOST_UNUSED_ADDRESSES = 100
"""The most unused addresses in a row that are no issue."""


@dataclass(frozen=True, slots=True)
class IssueList:
    """The issues of a mode. Of the kinds in `cut` there are more than were gathered."""

    issues: tuple[Issue, ...]
    cut: frozenset[IssueKind] = frozenset()


class Issues:
    """The issues of both modes; a mode not in `server` has only those of its tables.

    `chains` are those of both modes, to name the coins of unmatched payments. `dismissed` is called with the cause of
    each that was dismissed.
    """

    def __init__(
        self,
        db: Database,
        server: Mapping[bool, ServerIssues],
        chains: Collection[AcceptedChain] = (),
        dismissed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._db = db
        self._server = server
        self._chains = {chain.id: chain for chain in chains}
        self._dismissed = dismissed

    async def gather(self, livemode: bool, most: int = MOST) -> IssueList:
        """Return the issues of a mode, the server's own first, and at most `most` of each kind."""
        server = await self.of_server(livemode)
        recorded = await self._db.read(lambda unit: list(self._recorded(unit, livemode, most)))
        cut = {issues[0].kind for issues in recorded if len(issues) > most}
        return IssueList((*server, *(each for issues in recorded for each in issues[:most])), frozenset(cut))

    async def groups(self, livemode: bool) -> list[IssueGroup]:
        """Return the issues of a mode by kind, the urgent kinds first, with their number and the sum of their money."""
        server = groups.of_server(await self.of_server(livemode))
        recorded = await self._db.read(lambda unit: list(self._groups(unit, livemode)))
        return groups.ordered([*server, *recorded])

    async def counts(self, livemode: bool) -> list[tuple[IssueKind, int]]:
        """Return the number of a mode's issues of each kind, up to `MOST_COUNTED` or so; those of no kind are 0."""
        found = {group.kind: group.count for group in await self.groups(livemode)}
        return [(kind, found.get(kind, 0)) for kind in IssueKind]

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
            unit.after_commit(self._dismissed, cause)

        return work

    def dismiss_group(self, livemode: bool, kind: IssueKind, until: datetime) -> Callable[[WriteUnit], int]:
        """Return the unit that dismisses the issues of a kind that the owner has seen; it returns their number.

        Those that began after `until`, when the page was made, stay, and so do all beyond `MOST_COUNTED`. Raises
        InvalidBody for a kind that can't be dismissed together.
        """
        if kind not in DISMISSIBLE or kind not in {*groups.SESSION_KINDS, IssueKind.UNMATCHED}:
            raise InvalidBody("These can't be dismissed: they go away once their cause is fixed.", param="kind")

        def work(unit: WriteUnit) -> int:
            seen = [each for each in self._of_kind(unit, livemode, kind, MOST_COUNTED) if each.since <= until]
            for each in seen:
                store.dismiss(unit, each.cause)
            return len(seen)

        return work

    def _groups(self, unit: ReadUnit, livemode: bool) -> Iterator[IssueGroup]:
        for status in STATUS_KINDS:
            if newest := store.in_status(unit, livemode, status, _SHOWN):
                yield self._in_status(unit, livemode, status, [issues.of_session(each) for each in newest])
        late = list(_late(unit, livemode, _MOST_READ + 1))
        worth = [(session.fiat.currency, session.fiat_minor(session.sums.late_units)) for session, _ in late]
        shown = [issues.of_late_payments(session, each.seq, each.transfer) for session, each in late[:_SHOWN]]
        yield from _group(shown, len(late), groups.fiat_sums(worth))
        unmatched = store.unmatched(unit, livemode, _MOST_READ + 1)
        coins = [(asset, each.transfer.units) for each in unmatched if (asset := self._asset(each)) is not None]
        shown = [self._unmatched(each) for each in unmatched[:_SHOWN]]
        yield from _group(shown, len(unmatched), groups.coin_sums(coins))
        waiting = _open_refunds(unit, livemode, _MOST_READ + 1)
        coins = [(each.asset, each.units) for each in waiting]
        yield from _group([issues.of_refund(each) for each in waiting], len(waiting), groups.coin_sums(coins))
        for of_kind in self._without_money(unit, livemode, _MOST_READ):
            yield from _group(of_kind, len(of_kind), ())

    def _in_status(self, unit: ReadUnit, livemode: bool, status: Status, newest: Sequence[Issue]) -> IssueGroup:
        found = store.money_in_status(unit, livemode, status, MOST_COUNTED + 1)
        money = found[:MOST_COUNTED]
        # What was paid too much is to be settled of an overpaid session, and the price of any other.
        excess = status is Status.OVERPAID
        sums = groups.fiat_sums(
            (each.currency, max(0, each.received_minor - each.price_minor) if excess else each.price_minor)
            for each in money
        )
        return IssueGroup(STATUS_KINDS[status], tuple(newest), len(money), sums, len(found) > MOST_COUNTED)

    def _of_kind(self, unit: ReadUnit, livemode: bool, kind: IssueKind, most: int) -> Iterator[Issue]:
        for of_kind in self._recorded(unit, livemode, most):
            yield from (each for each in of_kind if each.kind is kind)

    def _recorded(self, unit: ReadUnit, livemode: bool, most: int) -> Iterator[Sequence[Issue]]:
        """Yield the issues of each kind in the tables; one more than `most` shows that there are more."""
        for status in issues.STATUS_KINDS:
            yield [issues.of_session(each) for each in store.in_status(unit, livemode, status, most + 1)]
        yield [
            issues.of_late_payments(session, each.seq, each.transfer)
            for session, each in _late(unit, livemode, most + 1)
        ]
        yield [self._unmatched(each) for each in store.unmatched(unit, livemode, most + 1)]
        yield [issues.of_refund(each) for each in _open_refunds(unit, livemode, most + 1)]
        yield from self._without_money(unit, livemode, most)

    def _without_money(self, unit: ReadUnit, livemode: bool, most: int) -> Iterator[Sequence[Issue]]:
        """Yield the issues of each further kind."""
        yield _oversold(unit, livemode, most + 1)
        if livemode:
            yield [self._difference(each) for each in differences.confirmed(unit, most + 1)]
            yield _unused_addresses(unit)
        yield [of_mail(each) for each in mails.undelivered(unit, livemode, most + 1)]
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

    def _asset(self, payment: UncountedPayment) -> Asset | None:
        chain = self._chains.get(payment.chain_id)
        known = chain.assets if chain is not None else ()
        return next((each for each in known if each.contract == payment.transfer.contract), None)

    def _unmatched(self, payment: UncountedPayment) -> Issue:
        asset = self._asset(payment)
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


def _group(newest: Sequence[Issue], count: int, sums: Sequence[str]) -> Iterator[IssueGroup]:
    """Yield the group of some issues of one kind; none without any."""
    if newest:
        shown = tuple(sorted(newest, key=lambda each: each.since, reverse=True)[:_SHOWN])
        yield IssueGroup(newest[0].kind, shown, min(count, _MOST_READ), tuple(sums), count > _MOST_READ)


def _late(unit: ReadUnit, livemode: bool, most: int) -> Iterator[tuple[Session, UncountedPayment]]:
    for each in store.late(unit, livemode, most):
        if isinstance(each.owner, Session):
            yield each.owner, each


def _open_refunds(unit: ReadUnit, livemode: bool, most: int) -> list[Refund]:
    """Return the refunds that wait for the owner, to be approved or paid."""
    return [
        each
        for step in (RefundStatus.AWAITING_APPROVAL, RefundStatus.TO_PAY)
        for each in refunds.with_status(unit, livemode, step, most)
        if each.tx_hash is None
    ]


def _oversold(unit: ReadUnit, livemode: bool, most: int) -> list[Issue]:
    found = [
        issues.of_oversold(each.link, each.stock, each.sold, each.since)
        for each in links.oversold(unit, livemode, most)
    ]
    return [each for each in found if not store.is_dismissed(unit, each.cause)]


def _unused_addresses(unit: ReadUnit) -> list[Issue]:
    found = unused_addresses.longest(unit, livemode=True)
    if found is None or found.count <= MOST_UNUSED_ADDRESSES:
        return []
    issue = issues.of_unused_addresses(found.wallet_id, found.first, found.last, found.since, is_cut=found.is_cut)
    return [] if store.is_dismissed(unit, issue.cause) else [issue]

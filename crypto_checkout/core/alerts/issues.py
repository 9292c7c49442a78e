"""Issues that need a person: a sentence, advice, and the page to look at. `services.alerts.issues` gathers them.

The sentences are also sent by email, so they hold no secrets and nothing that a payer wrote.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.checkout.session import STATUSES, Session, Status
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.core.money import format_units
from crypto_checkout.core.refunds.refund import Refund, RefundStatus
from crypto_checkout.core.rows import one_row_each
from crypto_checkout.core.webhooks.endpoint import Endpoint

_NATIVE_DECIMALS = 18
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


class IssueKind(StrEnum):
    """The kinds of issue; the values are public, in alerts and in the causes of issues."""

    UNDERPAID = "underpaid"
    OVERPAID = "overpaid"
    FAILED = "failed"
    LATE_PAYMENT = "late_payment"
    UNMATCHED = "unmatched"
    REFUND = "refund"
    OVERSOLD = "oversold"
    MAIL = "mail"
    DIFFERENCE = "difference"
    WEBHOOK_FAILING = "webhook_failing"
    WEBHOOK_DISABLED = "webhook_disabled"
    CHAIN = "chain"
    PROVIDER = "provider"
    PRICE = "price"
    DATABASE = "database"
    DISK = "disk"
    DESCRIPTORS = "descriptors"
    BACKUP = "backup"
    REPLICA = "replica"
    CLOCK = "clock"
    WALLET = "wallet"
    UNUSED_ADDRESSES = "unused_addresses"
    COLLECTOR = "collector"


@dataclass(frozen=True, slots=True)
class IssueInfo:
    """A kind of issue: its `name` in alerts, and its handling.

    An alert waits until the cause has lasted for `patience`, because many pass by themselves. The merchant can dismiss
    an issue where it `is_dismissible`; the others go when their cause does. `is_of_server` marks a fault of the server
    itself, which has its `advice` and the `path` of its page here; other kinds get theirs with each issue.
    """

    name: str
    patience: timedelta = timedelta(0)
    is_dismissible: bool = False
    is_of_server: bool = False
    advice: str = ""
    path: str = "/settings"


ISSUES: Mapping[IssueKind, IssueInfo] = one_row_each(
    "core.alerts.issues.ISSUES",
    IssueKind,
    {
        # The payer may be sending the rest.
        IssueKind.UNDERPAID: IssueInfo("An underpaid payment", timedelta(minutes=15), is_dismissible=True),
        IssueKind.OVERPAID: IssueInfo("An overpaid payment", is_dismissible=True),
        IssueKind.FAILED: IssueInfo("A reversed payment", is_dismissible=True),
        IssueKind.LATE_PAYMENT: IssueInfo("A late payment", is_dismissible=True),
        IssueKind.UNMATCHED: IssueInfo("An unmatched payment", is_dismissible=True),
        IssueKind.OVERSOLD: IssueInfo("An oversold link", is_dismissible=True),
        IssueKind.REFUND: IssueInfo("A refund"),
        IssueKind.MAIL: IssueInfo("An undelivered email", is_dismissible=True),
        IssueKind.DIFFERENCE: IssueInfo("A balance that differs from the chain"),
        IssueKind.WEBHOOK_FAILING: IssueInfo("A failing webhook", timedelta(minutes=10)),
        IssueKind.WEBHOOK_DISABLED: IssueInfo("A disabled webhook"),
        IssueKind.CHAIN: IssueInfo(
            "A stalled chain",
            timedelta(minutes=2),
            is_of_server=True,
            advice="Payments are delayed; none is lost. Check the chain's rpc_urls; another provider makes it safer.",
            path="/settings/chains",
        ),
        IssueKind.PROVIDER: IssueInfo(
            "An RPC provider",
            timedelta(minutes=15),
            is_of_server=True,
            advice="Other providers are used instead. Check its URL and its plan, or replace it in rpc_urls.",
            path="/settings/chains",
        ),
        IssueKind.PRICE: IssueInfo(
            "A missing price",
            timedelta(minutes=6),  # long enough to be missing twice
            is_of_server=True,
            advice="No sessions can be created until it is back. Check the server's connection, or set a price in "
            "[prices] fixed.",
            path="/settings/prices",
        ),
        IssueKind.DATABASE: IssueInfo(
            "The database",
            is_of_server=True,
            advice="Nothing can be stored, so no payment is credited. The log says why; most often the disk is full.",
        ),
        IssueKind.DISK: IssueInfo(
            "The disk",
            is_of_server=True,
            advice="Free up space before the database can no longer be written.",
            path="/settings/server",
        ),
        IssueKind.DESCRIPTORS: IssueInfo(
            "File descriptors",
            is_of_server=True,
            advice="Raise the process's limit: see the guide Reliability. What fails meanwhile is tried again.",
            path="/settings/server",
        ),
        IssueKind.BACKUP: IssueInfo(
            "The backups",
            timedelta(minutes=30),
            is_of_server=True,
            advice="The server tries again every hour. The earlier backups are kept.",
            path="/settings/backup",
        ),
        IssueKind.REPLICA: IssueInfo("The replica", timedelta(minutes=5), is_of_server=True),
        IssueKind.CLOCK: IssueInfo(
            "The clock",
            is_dismissible=True,
            is_of_server=True,
            advice="Check it and its synchronization (timedatectl), and dismiss this once it is right. Payers lose no "
            "time to pay.",
        ),
        IssueKind.WALLET: IssueInfo(
            "The wallet",
            is_of_server=True,
            advice="Two servers must not share an xpub, or a cold address without labels: both would give out the same "
            "addresses, and one payment would count on both. Give each its own account or label. Money sent there is "
            "listed under unmatched payments. Without a label, a stranger may have paid a cold address in advance.",
            path="/payments/unmatched",
        ),
        IssueKind.COLLECTOR: IssueInfo(
            "Automatic collection",
            timedelta(minutes=10),
            is_of_server=True,
            advice="No money is lost: it stays at its addresses until the next collection. See the guide Collect.",
            path="/balances",
        ),
        # Some may be about to pay.
        IssueKind.UNUSED_ADDRESSES: IssueInfo("Unused addresses", timedelta(hours=1), is_dismissible=True),
    },
)

DISMISSIBLE = frozenset(kind for kind, info in ISSUES.items() if info.is_dismissible)
SERVER_KINDS = frozenset(kind for kind, info in ISSUES.items() if info.is_of_server)


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue. `cause` identifies it for good, `subject_id` is the session, endpoint or chain it is about.

    `path` leads to its page within the dashboard of its mode; `livemode` is None for an issue of the whole server.
    """

    kind: IssueKind
    cause: str
    subject_id: str
    livemode: bool | None
    words: str
    advice: str
    since: datetime
    path: str


STATUS_KINDS: Mapping[Status, IssueKind] = one_row_each(
    "core.alerts.issues.STATUS_KINDS",
    [status for status, info in STATUSES.items() if info.advice is not None],
    {
        Status.UNDERPAID: IssueKind.UNDERPAID,
        Status.OVERPAID: IssueKind.OVERPAID,
        Status.FAILED: IssueKind.FAILED,
    },
)
"""The kind of issue for each status that comes with advice."""


def of_session(session: Session) -> Issue:
    """Describe a session in a status with advice."""
    asset = session.asset
    got = f"{format_units(session.sums.counted_units, asset.decimals)} {asset.symbol}"
    asked = f"{format_units(session.terms.amount_units, asset.decimals)} {asset.symbol}"
    price = f"{session.fiat} {session.fiat.currency}"
    words = (
        f"The network reversed a confirmed payment of {price}; {got} of {asked} remains."
        if session.status is Status.FAILED
        else f"Received {got}, expected {asked} ({price})."
    )
    kind = STATUS_KINDS[session.status]
    return Issue(
        kind=kind,
        cause=f"{kind}:{session.id}",
        subject_id=session.id,
        livemode=session.livemode,
        words=words,
        advice=STATUSES[session.status].advice or "",
        since=session.updated_at,
        path=f"/payments/{session.id}",
    )


def of_late_payments(session: Session, seq: int, last: Transfer) -> Issue:
    """Describe what arrived after the grace period and isn't accepted; `seq` is that of the last payment."""
    amount = f"{format_units(session.sums.late_units, session.asset.decimals)} {session.asset.symbol}"
    return Issue(
        kind=IssueKind.LATE_PAYMENT,
        cause=f"{IssueKind.LATE_PAYMENT}:{seq}",
        subject_id=session.id,
        livemode=session.livemode,
        words=f"{amount} arrived too late to count.",
        advice="Accept it if the price still suits you, or refund it.",
        since=last.block_time,
        path=f"/payments/{session.id}",
    )


def of_unmatched(
    session: Session, seq: int, transfer: Transfer, asset: Asset | None, *, came_on: str, asked_on: str
) -> Issue:
    """Describe an unmatched payment; `asset` is None for an asset that isn't configured.

    `came_on` and `asked_on` are the names of the chains.
    """
    what = _moved(transfer, asset)
    return Issue(
        kind=IssueKind.UNMATCHED,
        cause=f"{IssueKind.UNMATCHED}:{seq}",
        subject_id=session.id,
        livemode=session.livemode,
        words=f"Received {what} on {came_on}, expected {session.asset.symbol} on {asked_on}.",
        advice="It is at the payment's address and never counts automatically. Settle it with the payer.",
        since=transfer.block_time,
        path=f"/payments/{session.id}",
    )


def of_refund(refund: Refund) -> Issue:
    """Describe a refund that the owner has to approve, or to pay."""
    amount = f"{format_units(refund.units, refund.asset.decimals)} {refund.asset.symbol}"
    is_approved = refund.status is RefundStatus.TO_PAY
    return Issue(
        kind=IssueKind.REFUND,
        cause=f"{IssueKind.REFUND}:{refund.id}:{refund.status}",
        subject_id=refund.id,
        livemode=refund.livemode,
        words=f"A refund of {amount} is approved and waiting to be paid."
        if is_approved
        else f"A refund of {amount} needs your approval.",
        advice=(
            "Send it from your wallet to the approved address."
            if is_approved
            else "Check the address and its proof, then approve or cancel the refund."
        ),
        since=refund.updated_at,
        path=f"/refunds/{refund.id}",
    )


def of_oversold(link: Link, stock: int, sold: int, since: datetime) -> Issue:
    """Describe a link that sold more pieces than its stock has."""
    return Issue(
        kind=IssueKind.OVERSOLD,
        cause=f"{IssueKind.OVERSOLD}:{link.id}:{sold}",
        subject_id=link.id,
        livemode=link.livemode,
        words=f"“{link.title}” sold {sold:,} of {stock:,}.",
        advice="A late payment took a place that was for sale again, or the stock was lowered. Raise the stock, or "
        "refund a payment.",
        since=since,
        path=f"/links/{link.id}",
    )


def of_difference(
    session_id: str, address: Address, asset: Asset, difference_units: int, chain: str, since: datetime
) -> Issue:
    """Describe a balance that differs from the ledger; the difference is the chain's figure less the credited one."""
    amount = f"{format_units(abs(difference_units), asset.decimals)} {asset.symbol}"
    is_more = difference_units > 0
    return Issue(
        kind=IssueKind.DIFFERENCE,
        cause=f"{IssueKind.DIFFERENCE}:{asset.chain_id}:{session_id}:{asset.contract or ''}",
        subject_id=session_id,
        livemode=True,
        words=f"{chain} shows {amount} {'more' if is_more else 'less'} at {checksum(address)} than was credited.",
        advice=(
            f"Compare `crypto-checkout explain {session_id}` with a block explorer, and settle it with the payer."
            if is_more
            else f"Compare each payment of `crypto-checkout explain {session_id}` with a block explorer before you "
            "deliver. A second provider and confirm_with = 2 make this safer."
        ),
        since=since,
        path=f"/payments/{session_id}",
    )


def of_unassigned(
    address: UnassignedAddress, seq: int, transfer: Transfer, asset: Asset | None, *, came_on: str
) -> Issue:
    """Describe money at an address that no session has; `asset` and `came_on` as for `of_unmatched`."""
    return Issue(
        kind=IssueKind.UNMATCHED,
        cause=f"{IssueKind.UNMATCHED}:{seq}",
        subject_id=address.address,
        livemode=address.livemode,
        words=f"Received {_moved(transfer, asset)} on {came_on} at {checksum(address.address)}, {address.name} "
        "of your wallet, which belongs to no session.",
        advice="The money is in your wallet. The address was given out by a server with another database, for example "
        "before a restore. Find the payer's order and settle it.",
        since=transfer.block_time,
        path="/payments/unmatched",
    )


def of_unused_addresses(wallet_id: str, first: int, last: int, since: datetime, *, is_cut: bool) -> Issue:
    """Describe a long row of the wallet's addresses that got nothing.

    `is_cut` if the row begins even before `first`.
    """
    return Issue(
        kind=IssueKind.UNUSED_ADDRESSES,
        # The beginning tells rows apart; where it is unknown, it would move with each new address.
        cause=f"{IssueKind.UNUSED_ADDRESSES}:{wallet_id}:{'many' if is_cut else first}",
        subject_id=wallet_id,
        livemode=True,
        words=f"{'More than ' if is_cut else ''}{last - first + 1} addresses of your wallet in a row, up to number "
        f"{last}, were given out and never paid.",
        advice="So many visits without a payment can mean automated traffic, or that something keeps payers from "
        "paying. See which links they came from, and try one.",
        since=since,
        path="/payments",
    )


def of_endpoint(endpoint: Endpoint, since: datetime, reason: str, *, disabled: bool) -> Issue:
    """Describe a webhook endpoint that is disabled, or whose deliveries fail. Only the host of its URL is shown."""
    kind = IssueKind.WEBHOOK_DISABLED if disabled else IssueKind.WEBHOOK_FAILING
    host = urlsplit(endpoint.url).hostname or endpoint.id
    words = f"Webhooks to {host} are disabled: {reason}" if disabled else f"Webhooks to {host} are failing: {reason}"
    return Issue(
        kind=kind,
        cause=f"{kind}:{endpoint.id}",
        subject_id=endpoint.id,
        livemode=endpoint.livemode,
        words=words,
        advice=(
            "Fix the endpoint, enable it, and resend what it missed."
            if disabled
            else "Check its attempts and fix the endpoint. Failed deliveries are retried for about a day."
        ),
        since=since,
        path=f"/webhooks/{endpoint.id}",
    )


def of_server(
    kind: IssueKind, subject_id: str, words: str, since: datetime, *, livemode: bool | None, advice: str | None = None
) -> Issue:
    """Describe a fault that keeps the server from its work, leaving out URLs; `advice` replaces that of the kind."""
    return Issue(
        kind=kind,
        cause=f"{kind}:{subject_id}",
        subject_id=subject_id,
        livemode=livemode,
        words=without_urls(words),
        advice=advice or ISSUES[kind].advice,
        since=since,
        path=ISSUES[kind].path,
    )


def _moved(transfer: Transfer, asset: Asset | None) -> str:
    if asset is not None:
        return f"{format_units(transfer.units, asset.decimals)} {asset.symbol}"
    if transfer.contract is None:
        return f"{format_units(transfer.units, _NATIVE_DECIMALS)} of the chain's coin"
    return f"{transfer.units} smallest units of token {transfer.contract}"  # whose decimals aren't known


def without_urls(text: str) -> str:
    """Replace the URLs in a text: those of nodes contain API keys."""
    return _URL.sub("[URL]", text)

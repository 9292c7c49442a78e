"""Mails to the owner about payments, in plain text: one for each payment, or one for all of a day."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.money import format_minor, format_units, minor_units, with_commas
from crypto_checkout.core.receipts.mail import MailText
from crypto_checkout.core.receipts.receipt import Receipt, is_valid, item
from crypto_checkout.core.shop import Shop

MOST_LISTED = 50
"""The most payments, and the most issues, that a mail lists."""


@dataclass(frozen=True, slots=True)
class DayReport:
    """The content of a daily mail: the payments of the day, oldest first, and the sentences of all open issues.

    With `more` there were more payments than these.
    """

    livemode: bool
    since: datetime
    until: datetime
    zone: str
    paid: Sequence[tuple[Receipt, Session]]
    more: bool
    issues: Sequence[str]

    def __bool__(self) -> bool:
        """Tell whether there is anything to tell."""
        return bool(self.paid or self.issues)


def paid(receipt: Receipt, session: Session, chain_name: str, shop: Shop) -> MailText:
    """Write that a session was paid."""
    price, worth = _price(session), _worth(session)
    asset = session.asset
    coins = f"{format_units(session.sums.counted_units, asset.decimals)} {asset.symbol} on {chain_name}"
    customer = [each for each in (session.options.customer_name, session.options.customer_email) if each]
    lines = [
        f"{coins} arrived for {price}." if worth == price else f"{coins}, worth {worth}, arrived for {price}.",
        "",
        *([f"For: {item(receipt.title, session.quantity)}"] if receipt.title else []),
        *([f"Customer: {', '.join(customer)}"] if customer else []),
        f"Receipt: {receipt.name}",
        f"Payment: {shop.page(session.livemode, f'/payments/{session.id}')}",
        "",
    ]
    return MailText(f"[{shop.name}] {_mode(session.livemode)}You got paid {worth}", _joined(lines))


def day(report: DayReport, shop: Shop) -> MailText:
    """Write the mail of a day."""
    count = len(report.paid)
    named = f"{'More than ' if report.more else ''}{count} payment{'' if count == 1 else 's'}"
    sums = ", ".join(_sums([session for _, session in report.paid]))
    lines = [
        f"From {_local(report.since)} to {_local(report.until)} ({report.zone}):",
        "",
        f"{named}: {sums}" if report.paid else "No payments.",
    ]
    for receipt, session in report.paid[:MOST_LISTED]:
        what = f", {item(receipt.title, session.quantity)}" if receipt.title else ""
        price, worth = _price(session), _worth(session)
        if is_valid(session):
            lines.append(f"* {worth}{'' if worth == price else f' for {price}'}{what}, receipt {receipt.name}")
        else:
            lines.append(f"* {price}{what}, receipt {receipt.name} (reversed since)")
    if count > MOST_LISTED:
        lines.append(f"* and {count - MOST_LISTED} more")
    if report.issues:
        lines += ["", "Needs attention:", *(f"* {each}" for each in report.issues[:MOST_LISTED])]
        if len(report.issues) > MOST_LISTED:
            lines.append(f"* and {len(report.issues) - MOST_LISTED} more")
    lines += ["", f"Dashboard: {shop.page(report.livemode, '')}", ""]
    subject = f"{named}, {sums}" if report.paid else "No payments, and something needs attention"
    return MailText(f"[{shop.name}] {_mode(report.livemode)}{subject}", _joined(lines))


def _sums(sessions: Sequence[Session]) -> list[str]:
    """Return what was received in each currency; what was reversed isn't in it."""
    sums = defaultdict[str, int](int)
    for each in sessions:
        sums[each.fiat.currency] += each.fiat_minor(each.sums.counted_units) if is_valid(each) else 0
    return [_money(minor, currency) for currency, minor in sorted(sums.items())]


def _price(session: Session) -> str:
    return _money(minor_units(session.fiat), session.fiat.currency)


def _worth(session: Session) -> str:
    """Return the worth of what was received, as revenue counts it: the price only where that was paid exactly."""
    return _money(session.fiat_minor(session.sums.counted_units), session.fiat.currency)


def _money(minor: int, currency: str) -> str:
    return f"{with_commas(format_minor(minor, currency))} {currency}"


def _mode(livemode: bool) -> str:
    return "" if livemode else "(test mode) "


def _local(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _joined(lines: Sequence[str]) -> str:
    # What payers write must not look like lines of ours.
    return "\n".join(" ".join(line.split()) for line in lines)

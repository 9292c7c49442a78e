"""`crypto-checkout sessions`: list and show checkout sessions, accept and expire them."""

from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import (
    MODES,
    LazyChoice,
    Options,
    json_option,
    limit_option,
    mode_filter,
    statuses,
)
from crypto_checkout.cli.support.setup import load_config, print_json, show_place, with_database

if TYPE_CHECKING:
    from crypto_checkout.core.checkout.session import Session
    from crypto_checkout.core.public.types import AmountResource, PaymentResource, SessionResource
    from crypto_checkout.store.database import Database, ReadUnit, WriteUnit

_HEADINGS = ("created (UTC)", "id", "mode", "status", "price", "received")
_MOST_SHOWN_PAYMENTS = 20


@click.group()
def sessions() -> None:
    """List, show, accept and expire checkout sessions."""


@sessions.command("list")
@click.option("--status", type=LazyChoice("status", statuses), help="Only sessions with this status, for example paid.")
@mode_filter
@limit_option
@json_option
@click.pass_obj
def list_sessions(options: Options, *, status: str | None, mode: str | None, limit: int, as_json: bool) -> None:
    """List the newest sessions of both modes."""
    from crypto_checkout.app import offline
    from crypto_checkout.core.checkout.session import Status
    from crypto_checkout.store import paging
    from crypto_checkout.store.checkout import sessions as store

    config = load_config(options)
    filters = store.SessionFilter(status=None if status is None else Status(status))

    async def work(db: "Database") -> "list[SessionResource]":
        reader = offline.session_reader(config, db)
        pages = [await reader.listed(each, filters, paging.Window(limit)) for each in MODES[mode]]
        found = [session for page in pages for session in page.items]
        return sorted(found, key=lambda session: (session["createdAt"], session["id"]), reverse=True)[:limit]

    found = with_database(options, work)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No session matches." if status or mode else "There are no sessions yet.")
    else:
        click.echo("\n".join(tables.table(_HEADINGS, [_row(session) for session in found], flexible=5)))
    show_place(config)


@sessions.command()
@click.argument("session_id", metavar="ID")
@json_option
@click.pass_obj
def show(options: Options, *, session_id: str, as_json: bool) -> None:
    """Show a session with its payments."""
    from crypto_checkout.app import offline

    config = load_config(options)

    async def work(db: "Database") -> "SessionResource":
        reader = offline.session_reader(config, db)
        return await db.read(lambda unit: reader.describe(unit, _found(unit, session_id)))

    session = with_database(options, work)
    if as_json:
        print_json(session)
        return
    click.echo("\n".join(_summary(session)))


@sessions.command(short_help="Accept what has arrived as the full payment.")
@click.argument("session_id", metavar="ID")
@json_option
@click.pass_obj
def accept(options: Options, *, session_id: str, as_json: bool) -> None:
    """Accept what has arrived as the full payment: the session becomes paid."""
    _decide(options, session_id, "accept", as_json=as_json)


@sessions.command(short_help="Close a session that is pending or underpaid.")
@click.argument("session_id", metavar="ID")
@json_option
@click.pass_obj
def expire(options: Options, *, session_id: str, as_json: bool) -> None:
    """Close a session that is pending or underpaid; later payments are late."""
    _decide(options, session_id, "expire", as_json=as_json)


def _decide(options: Options, session_id: str, what: str, *, as_json: bool) -> None:
    from crypto_checkout.app import offline
    from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.services.owner import audit

    config = load_config(options)

    async def work(db: "Database") -> "SessionResource":
        decisions = await offline.decisions(config, db)
        decide, action, detail = {
            "accept": (decisions.accept, EventType.SESSION_PAID, ACCEPTED),
            "expire": (decisions.expire, EventType.SESSION_EXPIRED, CLOSED),
        }[what]

        def unit_of_work(unit: "WriteUnit") -> "SessionResource":
            livemode = _found(unit, session_id).livemode
            decided = decide(livemode, session_id)(unit)
            audit.record_command(unit, action, livemode=livemode, subject=session_id, detail=detail)
            return decided

        return await db.write(unit_of_work)

    session = with_database(options, work)
    if as_json:
        print_json(session)
        return
    click.echo(f"{session['id']} is {session['status']} ({session['statusReason']}).")


def _found(unit: "ReadUnit", session_id: str) -> "Session":
    from crypto_checkout.core.errors import ResourceNotFound
    from crypto_checkout.store.checkout import sessions as store

    session = store.get(unit, session_id)
    if session is None:
        raise ResourceNotFound(
            f"There is no checkout session {session_id[:40]}; `crypto-checkout sessions list` shows them."
        )
    return session


# --- for people ------------------------------------------------------------------------------------------------------


def _row(session: "SessionResource") -> list[str]:
    return [
        tables.minute(session["createdAt"]),
        session["id"],
        tables.mode(session["livemode"]),
        session["status"],
        f"{session['fiat']['amount']} {session['fiat']['currency']}",
        _coins(session["amountReceived"]),
    ]


def _summary(session: "SessionResource") -> list[str]:
    reason = f" ({session['statusReason']})" if session["statusReason"] else ""
    rate = session["rate"]
    missing = session["amountRemaining"]
    pairs = [
        ("price", f"{session['fiat']['amount']} {session['fiat']['currency']}"),
        ("pieces", None if session["quantity"] is None else str(session["quantity"])),
        ("amount", f"{_coins(session['amount'])} on chain {session['chainId']}"),
        ("choice", _choice(session)),
        ("rate", f"{rate['value']} {rate['quote']} for one {rate['base']} ({', '.join(rate['sources'])})"),
        ("address", session["address"]),
        ("number", _place(session)),
        ("received", _coins(session["amountReceived"])),
        ("refunded", None if session["amountRefunded"]["units"] == "0" else _coins(session["amountRefunded"])),
        ("missing", None if missing["units"] == "0" else _coins(missing)),
        ("link", session["linkId"]),
        ("customer", session["customerEmail"]),
        ("name", session["customerName"]),
        ("note", session["customerNote"]),
        ("details", None if session["payerAnswered"] else "not given by the payer yet"),
        *((f"metadata {name}", value) for name, value in (session["metadata"] or {}).items()),
        ("created", tables.second(session["createdAt"])),
        ("expires", tables.second(session["expiresAt"])),
        ("paid", tables.second(session["paidAt"])),
        ("page", session["checkoutUrl"]),
    ]
    head = f"{session['id']}  {tables.mode(session['livemode'])}  {session['status']}{reason}"
    return [head, "", *tables.fields(pairs), "", *_payments(session)]


def _place(session: "SessionResource") -> str:
    """Return the number of the session's address in the wallet, and its path where that is known."""
    index, path = session["addressIndex"], session["addressPath"]
    return f"{index} of the wallet" + (f", {path}" if path else "")


def _choice(session: "SessionResource") -> str | None:
    """Return the payer's choices in words, None without a choice."""
    if len(session["assets"]) == 1:
        return None
    names = ", ".join(f"{each['asset']} on chain {each['chainId']}" for each in session["assets"])
    return names if session["assetChosen"] else f"{names}; not chosen yet"


def _payments(session: "SessionResource") -> list[str]:
    payments = session["payments"]
    if not payments:
        return ["  No payment has arrived."]
    shown = payments[-_MOST_SHOWN_PAYMENTS:]
    left_out = len(payments) - len(shown)
    head = f"  Payments (the newest {len(shown)} of {len(payments)}):" if left_out else "  Payments:"
    return [head, *(line for payment in shown for line in _payment(session, payment))]


def _payment(session: "SessionResource", payment: "PaymentResource") -> list[str]:
    counted = "" if payment["counted"] else ", not counted: too late"
    depth = f"{payment['confirmations']} confirmations ({session['requiredConfirmations']} needed)"
    return [
        f"    {_coins(payment['amount'])} ({payment['kind']}) in block {payment['blockNumber']}, {depth}{counted}",
        f"      {payment['txHash'] or 'its transaction is not known'}",
        f"      at {tables.second(payment['blockTime'])}, from {payment['from'] or 'an unknown sender'}",
    ]


def _coins(amount: "AmountResource") -> str:
    return f"{amount['value']} {amount['asset']}"

"""`crypto-checkout links`: make and list payment links."""

from functools import partial
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import MODES, Options, json_option, limit_option, mode_filter, mode_option
from crypto_checkout.cli.support.setup import load_config, print_json, show_place, with_database

if TYPE_CHECKING:
    from decimal import Decimal

    from crypto_checkout.core.assets import Choice
    from crypto_checkout.core.checkout.link import LinkPrice, LinkQuantity
    from crypto_checkout.core.checkout.questions import PayerFields
    from crypto_checkout.core.public.link_types import LinkResource
    from crypto_checkout.store.database import Database, WriteUnit

_HEADINGS = ("created (UTC)", "id", "mode", "state", "price", "title")
_LONGEST_TITLE = 200
_MOST_CHOICES = 20


@click.group()
def links() -> None:
    """Create and list payment links."""


@links.command(short_help="Create a link and print its URL.")
@click.option("--title", required=True, help="What you sell.")
@click.option("--amount", help="The price, for example 10.00; with --quantity, of one piece.")
@click.option("--any-amount", is_flag=True, help="Let the payer choose the amount, instead of --amount.")
@click.option("--min", "minimum", help="With --any-amount: the minimum.")
@click.option("--max", "maximum", help="With --any-amount: the maximum.")
@click.option("--suggest", "suggested", multiple=True, help="With --any-amount: an amount to suggest, up to six times.")
@click.option("--quantity", help="How many pieces a payer can order: 10 for up to ten, or 2-10.")
@click.option("--stock", type=click.IntRange(min=0), help="How many pieces are for sale in total.")
@click.option("--currency", default="USD", show_default=True, help="The price's currency (ISO 4217).")
@mode_option
@click.option("--chain", "chain_id", type=int, help="The ID of the chain to pay on. Default: the first configured.")
@click.option(
    "--asset",
    "assets",
    multiple=True,
    help="The coin to pay in. Default: the chain's own. As CHAIN:COIN (1:USDC), repeated, it lets payers choose.",
)
@click.option(
    "--ask",
    "asked",
    multiple=True,
    metavar="FIELD",
    help="What payers are asked for: email, name or note; email=optional for one that they may leave out.",
)
@json_option
@click.pass_obj
def create(
    options: Options,
    *,
    title: str,
    amount: str | None,
    any_amount: bool,
    minimum: str | None,
    maximum: str | None,
    suggested: tuple[str, ...],
    quantity: str | None,
    stock: int | None,
    currency: str,
    mode: str,
    chain_id: int | None,
    assets: tuple[str, ...],
    asked: tuple[str, ...],
    as_json: bool,
) -> None:
    """Create a link and print its URL. Anyone can open it; each visitor gets a session."""
    from crypto_checkout.app import offline
    from crypto_checkout.core.checkout.pay_button import pay_button
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.services.checkout.links import LinkRequest
    from crypto_checkout.services.owner import audit

    config = load_config(options)
    choices = _choices(assets, chain_id)
    new = LinkRequest(
        title=_title(title),
        price=_price(currency, amount, any_amount=any_amount, minimum=minimum, maximum=maximum, suggested=suggested),
        quantity=_quantity(quantity, stock),
        chain_id=chain_id,
        asset=assets[0] if assets and not choices else None,
        assets=choices,
        payer_fields=_payer_fields(asked),
    )

    async def work(db: "Database") -> "LinkResource":
        livemode = mode == "live"
        make = offline.links(config, db).create(livemode, new)

        def unit_of_work(unit: "WriteUnit") -> "LinkResource":
            made = make(unit)
            audit.record_command(unit, EventType.LINK_CREATED, livemode=livemode, subject=made["id"], detail=new.title)
            return made

        return await db.write(unit_of_work)

    link = with_database(options, work)
    if as_json:
        print_json(link)
        return
    test = "" if link["livemode"] else " It is for test mode, without real money; --mode live creates a live one."
    click.echo(f"{link['checkoutUrl']}\n\nThis is link {link['id']}.{test}\n\nAs a button on your website:\n")
    click.echo(pay_button(link["checkoutUrl"], _button_text(link)))


@links.command("list")
@mode_filter
@limit_option
@json_option
@click.pass_obj
def list_links(options: Options, *, mode: str | None, limit: int, as_json: bool) -> None:
    """List the newest links of both modes."""
    from crypto_checkout.app.urls import as_served
    from crypto_checkout.services.checkout.links import page
    from crypto_checkout.store import paging

    config = load_config(options)
    url = as_served(config).server.public_url

    async def work(db: "Database") -> "list[LinkResource]":
        window = paging.Window(limit)
        listed = [partial(page, livemode=each, active=None, window=window, public_url=url) for each in MODES[mode]]
        pages = [await db.read(each) for each in listed]
        found = sorted((link for each in pages for link in each.items), key=lambda link: link["id"], reverse=True)
        return found[:limit]

    found = with_database(options, work)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no links yet: crypto-checkout links create --title TITLE --amount 10.00")
        show_place(config)
        return
    head, *rows = tables.table(_HEADINGS, [_row(link) for link in found], flexible=5)
    click.echo(head)
    for row, link in zip(rows, found, strict=True):
        click.echo(f"{row}\n    {link['checkoutUrl']}")
    show_place(config)


def _row(link: "LinkResource") -> list[str]:
    return [
        tables.minute(link["createdAt"]),
        link["id"],
        tables.mode(link["livemode"]),
        "on" if link["active"] else "off",
        _price_text(link),
        link["title"],
    ]


def _title(text: str) -> str:
    """Return a title if the API would accept it."""
    if not text.strip() or len(text) > _LONGEST_TITLE or not text.isprintable():
        raise click.UsageError(f"--title takes one line of 1 to {_LONGEST_TITLE} characters")
    return text


def _payer_fields(asked: tuple[str, ...]) -> "PayerFields | None":
    """Return what payers are asked for, given as email or email=optional."""
    from crypto_checkout.core.checkout.questions import Asked, PayerFields

    found: dict[str, Asked] = {}
    for text in asked:
        name, sign, how = text.partition("=")
        if name not in PayerFields.__slots__ or (sign and how not in list(Asked)):
            raise click.UsageError(f'--ask: "{text[:40]}" should be email, name or note, or like email=optional')
        if name in found:
            raise click.UsageError(f"--ask: {name} is given twice")
        found[name] = Asked(how) if sign else Asked.REQUIRED
    return PayerFields(**found) if found else None


def _choices(assets: tuple[str, ...], chain_id: int | None) -> "tuple[Choice, ...]":
    """Return the payer's choices, given as 1:USDC; an empty tuple for a single coin without a chain."""
    from crypto_checkout.core.assets import Choice

    if len(assets) <= 1 and not any(":" in asset for asset in assets):
        return ()
    if chain_id is not None:
        raise click.UsageError(
            "Each --asset already has its chain, as in --asset 1:USDC --asset 10:ETH; leave out --chain"
        )
    found: list[Choice] = []
    for asset in assets:
        chain, _, symbol = asset.partition(":")
        if not (chain.isascii() and chain.isdigit() and symbol):
            raise click.UsageError(f'--asset: "{asset[:40]}" should name a chain and a coin, like 1:USDC')
        choice = Choice(int(chain), symbol)
        if choice in found:
            raise click.UsageError(f"--asset: {asset} is listed twice")
        found.append(choice)
    if len(found) > _MOST_CHOICES:
        raise click.UsageError(f"--asset can be given {_MOST_CHOICES} times at most")
    return tuple(found)


def _price(
    currency: str,
    amount: str | None,
    *,
    any_amount: bool,
    minimum: str | None,
    maximum: str | None,
    suggested: tuple[str, ...],
) -> "LinkPrice":
    """Return the price of the options, which say either --amount or --any-amount."""
    from crypto_checkout.core.checkout.link import MOST_SUGGESTED, LinkPrice
    from crypto_checkout.core.money import parse_currency, parse_fiat

    if (amount is None) is not any_amount:
        raise click.UsageError("give either --amount, like --amount 10.00, or --any-amount")
    if len(suggested) > MOST_SUGGESTED:
        raise click.UsageError(f"--suggest can be given {MOST_SUGGESTED} times at most")
    option = "--currency"

    def parsed(name: str, text: str | None) -> "Decimal | None":
        nonlocal option
        option = name
        return None if text is None else parse_fiat(text, currency).amount

    try:
        parse_currency(currency)
        return LinkPrice(
            parsed("--amount", amount),
            currency,
            parsed("--min", minimum),
            parsed("--max", maximum),
            tuple(each for text in suggested if (each := parsed("--suggest", text)) is not None),
        )
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None


def _quantity(text: str | None, stock: int | None) -> "LinkQuantity | None":
    """Return the pieces of the options: 10 for up to ten, 2-10 for two to ten; a stock alone sells one at a time."""
    from crypto_checkout.core.checkout.link import MOST_PIECES, MOST_STOCK, LinkQuantity

    if stock is not None and stock > MOST_STOCK:
        raise click.UsageError(f"--stock takes {MOST_STOCK:,} at most")
    if text is None:
        return None if stock is None else LinkQuantity(1, 1, stock)
    least, dash, most = text.partition("-")
    numbers = (least, most) if dash else ("1", least)
    if not all(each.isascii() and each.isdigit() and 1 <= int(each) <= MOST_PIECES for each in numbers):
        raise click.UsageError(f'--quantity: "{text[:20]}" should be a number up to {MOST_PIECES}, or two, like 2-10')
    return LinkQuantity(int(numbers[0]), int(numbers[1]), stock)


def _button_text(link: "LinkResource") -> str:
    is_fixed = link["fiatAmount"] is not None and link["quantity"] is None
    return f"Pay {link['fiatAmount']} {link['fiatCurrency']}" if is_fixed else "Pay"


def _price_text(link: "LinkResource") -> str:
    """Return a link's price for the list, with the pieces that are left."""
    quantity = link["quantity"]
    if link["fiatAmount"] is None:
        return f"any amount in {link['fiatCurrency']}"
    price = f"{link['fiatAmount']} {link['fiatCurrency']}"
    if quantity is None:
        return price
    stock = "" if quantity["stock"] is None else f", {quantity['available']} of {quantity['stock']} left"
    return f"{price} each{stock}"

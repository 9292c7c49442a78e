"""`crypto-checkout collect status`: where the money is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import chain_names, fail, load_config, print_json, with_database

if TYPE_CHECKING:
    from crypto_checkout.core.public.balances import BalanceResource, BalanceTotalResource
    from crypto_checkout.services.collect.balances import Balances
    from crypto_checkout.store.database import Database

_HEADINGS = ("amount", "worth", "number", "address", "payment", "")
_MOST = 1_000_000
_MOST_SHOWN = 50
_TEST_MODE = " For the money of test payments: --mode test."
_REASONS = {"fee_too_high": "fee too high", "unknown_fee": "fee not known", "unknown_price": "no price"}


@click.command(short_help="Show what each address holds.")
@click.option(
    "--mode",
    type=click.Choice(["live", "test"]),
    default="live",
    show_default=True,
    help="live takes real money, test doesn't.",
)
@click.option("--chain", "chain_id", type=click.IntRange(1), metavar="ID", help="Only this chain.")
@click.option("--asset", metavar="SYMBOL", help="Only this coin, for example USDC.")
@click.option("--all", "shows_all", is_flag=True, help="Include addresses that are empty by now.")
@json_option
@click.pass_obj
def status(
    options: Options, *, mode: str, chain_id: int | None, asset: str | None, shows_all: bool, as_json: bool
) -> None:
    """Show what your addresses hold, what that is worth now, and what isn't worth moving.

    The figures come from the server's records; each is compared with what the chain shows at the last block that
    the server has processed. --json lists every address.
    """
    from crypto_checkout.app import offline
    from crypto_checkout.core.errors import WalletNotConfigured
    from crypto_checkout.services.collect.balances import BalanceFilter
    from crypto_checkout.store.paging import Window

    config = load_config(options)
    filters = BalanceFilter(chain_id=chain_id, symbol=asset, is_held=None if shows_all else True)

    async def work(db: "Database") -> "Balances":
        async with offline.balances(config, db) as reports:
            try:
                return await reports.of(mode == "live", filters, Window(_MOST))
            except WalletNotConfigured as error:
                fail(f"{error}{_TEST_MODE if mode == 'live' else ''}")

    found = with_database(options, work)
    if as_json:
        print_json({"object": "list", "data": [*found.page.items], "totals": [*found.totals]})
        return
    if not found.totals:
        click.echo(f"No address in {mode} mode holds any money.")
        return
    names = chain_names(config)
    for total in found.totals:
        click.echo("\n".join(_total(total, names)))
    shown = found.page.items[:_MOST_SHOWN]
    click.echo("\n".join(tables.table(_HEADINGS, [_row(each) for each in shown], flexible=4)))
    if len(shown) < len(found.page.items):
        click.echo(f"\nThese are the newest {len(shown)} of {len(found.page.items):,}; --json lists all.")


def _total(total: "BalanceTotalResource", names: Mapping[int, str]) -> list[str]:
    left, block = total["notWorthMoving"], total["block"]
    amount = total["amount"]
    pairs = [
        ("worth now", None if total["fiat"] is None else f"{total['fiat']['amount']} {total['fiat']['currency']}"),
        ("addresses", f"{total['addresses']:,}"),
        (
            "not worth moving",
            f"{left['amount']['value']} {amount['asset']} at {left['addresses']:,} of them"
            if left["addresses"]
            else None,
        ),
        (
            "moved away",
            None if total["collected"]["units"] == "0" else f"{total['collected']['value']} {amount['asset']}",
        ),
        ("as of", None if block is None else f"block {block['number']}, {tables.second(block['time'])}"),
    ]
    chain = tables.chain(names, total["chainId"])
    return [f"{amount['value']} {amount['asset']} on {chain}", "", *tables.fields(pairs), ""]


def _row(balance: "BalanceResource") -> list[str]:
    amount, fiat = balance["amount"], balance["fiat"]
    return [
        f"{amount['value']} {amount['asset']}",
        "" if fiat is None else f"{fiat['amount']} {fiat['currency']}",
        str(balance["addressIndex"]),
        balance["address"],
        balance["sessionId"] or "none",
        _remark(balance),
    ]


def _remark(balance: "BalanceResource") -> str:
    """Return what to know about a balance: that the chain shows another, or doesn't answer, or why not to move it."""
    on_chain = balance["onChain"]
    if on_chain is not None and on_chain["amount"]["units"] != balance["amount"]["units"]:
        return f"chain: {on_chain['amount']['value']}"
    if on_chain is None and balance["livemode"]:
        return "not compared"
    return "" if balance["reason"] is None else _REASONS[balance["reason"]]

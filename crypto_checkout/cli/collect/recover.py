"""`crypto-checkout collect recover`: find and collect the money at deposits without the database."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json

if TYPE_CHECKING:
    from crypto_checkout.config import ChainConfig, Config
    from crypto_checkout.core.collect.deposits import Deposits
    from crypto_checkout.services.collect.recovery import RecoveryTransaction

_EMPTY = 1000


@click.command(short_help="Find money at deposits without the database.")
@click.option("--destination", metavar="ADDRESS", help="The cold address. Default: the one in checkout.toml.")
@click.option("--label", metavar="TEXT", help="Its label. Default: the one in checkout.toml.")
@click.option(
    "--count",
    type=click.IntRange(1, 10_000_000),
    default=_EMPTY,
    show_default=True,
    metavar="N",
    help="The minimum number of deposits to look at.",
)
@json_option
@click.pass_obj
def recover(options: Options, *, destination: str | None, label: str | None, count: int, as_json: bool) -> None:
    """Find money at deposits of a cold address without the database, and show transactions that collect it.

    For a lost database: the destination, its label and the chains are enough. It continues until a thousand
    deposits in a row are empty. Anyone may send the transactions; the money goes to the cold address.
    This command sends nothing.
    """
    from crypto_checkout import log

    log.silence()
    config = load_config(options)
    deposits = _deposits(config, destination, label)
    if not config.chains:
        fail("No chain is configured: enable those that were used, with their tokens, in checkout.toml.")
    found = [(chain, asyncio.run(_recovered(config, chain, deposits, count))) for chain in config.chains]
    if as_json:
        print_json(
            {"object": "recovery", "transactions": [_as_object(chain, each) for chain, some in found for each in some]}
        )
        return
    for chain, some in found:
        click.echo("\n".join(_recovery_lines(chain, some)))


def _deposits(config: "Config", destination: str | None, label: str | None) -> "Deposits":
    from crypto_checkout.core.address import Address
    from crypto_checkout.core.collect.deposits import Deposits
    from crypto_checkout.core.collect.destination import parse_destination

    if destination is None:
        if not config.wallet.cold_address:
            fail("[wallet] cold_address is not set: name it with --destination.")
        address = Address(config.wallet.cold_address)
    else:
        try:
            address = parse_destination(destination)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", param_hint="--destination") from None
    return Deposits(address, config.wallet.cold_label if label is None else label)


async def _recovered(
    config: "Config", chain: "ChainConfig", deposits: "Deposits", count: int
) -> "list[RecoveryTransaction]":
    from crypto_checkout.app import chains, collecting
    from crypto_checkout.core.errors import RecoverableError
    from crypto_checkout.services.collect import deployment, recovery

    least = max(count, collecting.noted_index(config, deposits))
    assets = chains.accepted_chain(chain).assets
    async with collecting.opened(chain) as reader:
        setup = await deployment.look(reader, deposits, chain.id, chain.name)
        if setup.missing:
            fail(f"{chain.name} lacks the contracts that collect. First: crypto-checkout collect setup")
        try:
            found = await recovery.find(reader, deposits, assets, least=least, empty=_EMPTY)
            return await recovery.transactions(reader, deposits, found)
        except RecoverableError as error:
            fail(f"{chain.name} can't be read: {error}. Nothing was changed.")


def _as_object(chain: "ChainConfig", transaction: "RecoveryTransaction") -> dict[str, Any]:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.collect.contracts import COLLECTOR

    return {
        "chainId": chain.id,
        "to": checksum(COLLECTOR.address),
        "value": "0",
        "data": "0x" + transaction.data.hex(),
        "moves": transaction.moves,
        "items": [
            {
                "index": each.index,
                "address": checksum(each.address),
                "asset": each.asset.symbol,
                "units": str(each.units),
            }
            for each in transaction.items
        ],
    }


def _recovery_lines(chain: "ChainConfig", transactions: "list[RecoveryTransaction]") -> list[str]:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.money import format_units

    items = [each for transaction in transactions for each in transaction.items]
    if not items:
        return [f"{chain.name}: these deposits are empty."]
    rows = [
        (
            str(each.index),
            checksum(each.address),
            f"{format_units(each.units, each.asset.decimals)} {each.asset.symbol}",
        )
        for each in items
    ]
    lines = [f"{chain.name} ({chain.id}):", *tables.table(("number", "address", "amount"), rows, flexible=1)]
    for number, transaction in enumerate(transactions, 1):
        made = _as_object(chain, transaction)
        stay = len(transaction.items) - transaction.moves
        lines += [
            "",
            f"Transaction {number} of {len(transactions)} moves {transaction.moves} of {len(transaction.items)} amounts"
            + (f"; {tables.count(stay, 'token')} can't be moved now" if stay else "")
            + ":",
            *tables.fields([("to", made["to"]), ("value", "0"), ("data", made["data"])]),
            f"  cast send --rpc-url NODE --ledger {made['to']} {made['data']}",
        ]
    return [*lines, ""]

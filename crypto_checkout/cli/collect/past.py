"""`crypto-checkout collect list`: the collections so far."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option, limit_option
from crypto_checkout.cli.support.setup import chain_names, load_config, print_json, show_place, with_database

if TYPE_CHECKING:
    from crypto_checkout.core.public.collection_types import CollectionResource
    from crypto_checkout.store.database import Database

_HEADINGS = ("time (UTC)", "chain", "status", "amounts", "from", "transaction")


@click.command(name="list", short_help="List collections.")
@click.option(
    "--mode",
    type=click.Choice(["live", "test"]),
    default="live",
    show_default=True,
    help="live takes real money, test doesn't.",
)
@limit_option
@json_option
@click.pass_obj
def list_collections(options: Options, *, mode: str, limit: int, as_json: bool) -> None:
    """List the transactions that moved money from your addresses, newest first, whoever sent them."""
    from crypto_checkout.services.collect.records import Collections
    from crypto_checkout.store.collect.collections import CollectionFilter
    from crypto_checkout.store.paging import Window

    async def work(db: "Database") -> "list[CollectionResource]":
        return [*(await Collections(db).listed(mode == "live", CollectionFilter(), Window(limit))).items]

    found = with_database(options, work)
    if as_json:
        print_json({"object": "list", "data": found})
        return
    config = load_config(options)
    if found:
        names = chain_names(config)
        click.echo("\n".join(tables.table(_HEADINGS, [_row(each, names) for each in found], flexible=5)))
    else:
        click.echo(f"There are no collections in {mode} mode yet.")
    show_place(config)


def _row(collection: "CollectionResource", names: Mapping[int, str]) -> tuple[str, ...]:
    amounts = ", ".join(f"{each['value']} {each['asset']}" for each in collection["totals"])
    addresses = len({item["address"] for item in collection["items"]})
    return (
        tables.minute(collection["collectedAt"] or collection["createdAt"]),
        tables.chain(names, collection["chainId"]),
        collection["status"],
        amounts,
        tables.count(addresses, "address", "addresses"),
        collection["txHash"],
    )

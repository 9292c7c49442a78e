"""Plan what leaves the deposits of a cold address, as a file for Safe's Transaction Builder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.collect import files
from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import fail, print_json, with_database

if TYPE_CHECKING:
    from crypto_checkout.config import ChainConfig, Config
    from crypto_checkout.core.collect.batches import CollectBatch
    from crypto_checkout.store.database import Database


def plan(
    options: Options, config: "Config", chain: "ChainConfig", asset: str | None, out: Path, *, as_json: bool
) -> None:
    """Write the file, and say what it moves; without anything to move none is written."""
    from crypto_checkout.app import offline
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.core.collect import safe_file
    from crypto_checkout.services.collect.balances import BalanceFilter
    from crypto_checkout.store.paging import Window

    if not config.wallet.cold_address:
        fail("Name the receiving address with --to. Only deposits of a cold address don't need it.")

    async def work(db: "Database") -> "Sequence[CollectBatch]":
        async with offline.balances(config, db) as reports:
            found = await reports.of(True, BalanceFilter(chain_id=chain.id, symbol=asset), Window(1))
            return found.to_collect()

    batches = with_database(options, work)
    if batches:
        name = f"Collect on {chain.name}"
        content = safe_file.file(batches, chain.id, name, system_clock())
        files.write(out, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    if as_json:
        print_json(_as_object(batches, out))
    else:
        click.echo("\n".join(_lines(batches, chain, out)))


def _lines(batches: "Sequence[CollectBatch]", chain: "ChainConfig", out: Path) -> list[str]:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.money import format_units

    if not batches:
        return [f"Nothing at deposits on {chain.name} is worth moving: no file was written."]
    lines = []
    for batch in batches:
        lines.append(f"To {checksum(batch.destination)}, from {tables.count(batch.addresses, 'address', 'addresses')}:")
        lines += [f"  {format_units(units, asset.decimals)} {asset.symbol}" for asset, units in batch.sums.items()]
    return [
        *lines,
        "",
        f"{out} has {tables.count(len(batches), 'transaction')} for Safe's Transaction Builder. Any account may send",
        "them: the money can go nowhere else. The dashboard's Balances page does the same with a browser wallet.",
    ]


def _as_object(batches: "Sequence[CollectBatch]", out: Path) -> dict[str, object]:
    return {
        "object": "collect_plan",
        "file": str(out) if batches else None,
        "way": "deposits",
        "items": sum(len(each.items) for each in batches),
        "transactions": len(batches),
    }

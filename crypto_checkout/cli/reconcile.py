"""`crypto-checkout reconcile`: compare credited amounts with the chains: still held, or swept."""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import load_config, print_json, with_database

if TYPE_CHECKING:
    from crypto_checkout.core.diagnosis.reconcile import AddressBalance
    from crypto_checkout.services.diagnosis.reconcile import ChainComparison
    from crypto_checkout.store.database import Database

DIFFERENT = 1
INCOMPLETE = 2


@click.command(short_help="Compare all recorded payments with the chains.")
@click.option(
    "--mode",
    type=click.Choice(["live", "test"]),
    default="live",
    show_default=True,
    help="live takes real money, test doesn't.",
)
@json_option
@click.pass_obj
def reconcile(options: Options, *, mode: str, as_json: bool) -> None:
    """Compare what was credited to every address ever given out with what the chains show.

    For each chain and coin, the credited amount must equal what the address holds plus what was swept from it. Both
    are read at the last block that the server has processed; it can keep running. The exit code is 1 on any
    difference, and 2 if a chain could not be read.
    """
    from crypto_checkout.app import offline
    from crypto_checkout.cli.support import progress

    config = load_config(options)

    async def work(db: "Database") -> "list[ChainComparison]":
        with progress.shown("addresses") as report:
            async with offline.reconciliation(
                config,
                db,
                livemode=mode == "live",
                progress=lambda chain, done, total: report(chain.name, done, total),
            ) as service:
                return await service.run()

    try:
        found = with_database(options, work)
    except click.ClickException as error:
        error.show()
        sys.exit(INCOMPLETE)
    if as_json:
        print_json({"object": "reconciliation", "mode": mode, "chains": [_as_object(each) for each in found]})
    else:
        click.echo("\n".join(_lines(found) if found else _nothing(mode)))
    if any(each.differing for each in found):
        sys.exit(DIFFERENT)
    if any(each.problem for each in found):
        sys.exit(INCOMPLETE)


# --- for people ------------------------------------------------------------------------------------------------------


def _nothing(mode: str) -> list[str]:
    other = "; --mode test compares the simulated chain" if mode == "live" else ""
    why = f"no chain of {mode} mode is enabled{other}"
    return [f"There is nothing to compare: {why}."]


def _lines(found: "Sequence[ChainComparison]") -> Iterator[str]:
    for each in found:
        yield from _of_chain(each)


def _of_chain(each: "ChainComparison") -> Iterator[str]:
    name = f"{each.name} (chain {each.chain_id})"
    if each.problem is not None:
        yield f"{name} could not be compared:"
        yield from _wrapped(each.problem)
    elif each.block is not None:
        bad = f"{len(each.differing)} DIFFERENCES" if len(each.differing) > 1 else "1 DIFFERENCE"
        verdict = bad if each.differing else "all adds up"
        if each.unproven:
            verdict += f", {len(each.unproven)} unproven"
        yield f"{name} at block {each.block.number} {each.block.hash}:"
        addresses = tables.count(each.addresses, "address", "addresses")
        yield f"  {addresses}, {tables.count(each.accounts, 'balance')}: {verdict}."
    for account in (*each.differing, *each.unproven):
        yield ""
        yield from _account(account)


def _account(account: "AddressBalance") -> Iterator[str]:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.diagnosis import reconcile as core
    from crypto_checkout.core.diagnosis.explanation import amount

    more = account.difference
    what = f"{amount(account.asset, abs(more))} {'more' if more > 0 else 'less'} than credited" if more else "unproven"
    yield f"  {checksum(account.address)} ({account.owner}): {what}"
    for words in (account.place, core.figures(account), core.reason(account), core.advice(account)):
        yield from _wrapped(words)


def _wrapped(text: str) -> list[str]:
    indent = "    "
    return textwrap.wrap(
        tables.plain(text), tables.WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


# --- for programs ----------------------------------------------------------------------------------------------------


def _as_object(each: "ChainComparison") -> dict[str, Any]:
    from crypto_checkout.core import moments

    block = None
    if each.block is not None:
        block = {
            "number": each.block.number,
            "hash": each.block.hash,
            "time": moments.to_text(each.block.time),
        }
    return {
        "chainId": each.chain_id,
        "name": each.name,
        "block": block,
        "problem": each.problem,
        "addresses": each.addresses,
        "differences": [_account_object(account) for account in each.differing],
        "unproven": [_account_object(account) for account in each.unproven],
    }


def _account_object(account: "AddressBalance") -> dict[str, Any]:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.diagnosis import reconcile as core

    return {
        "address": checksum(account.address),
        "sessionId": account.session_id,
        "addressIndex": account.derivation_index,
        "addressPath": account.address_path,
        "asset": account.asset.symbol,
        "contract": None if account.asset.contract is None else checksum(account.asset.contract),
        "decimals": account.asset.decimals,
        "credited": str(account.credited),
        "balance": str(account.balance),
        "swept": None if account.swept is None else str(account.swept),
        "difference": str(account.difference),
        "reason": core.reason(account),
        "advice": core.advice(account),
    }

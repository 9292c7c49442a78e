"""`crypto-checkout collect send`: send a signed plan."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.collect import files, words
from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json

if TYPE_CHECKING:
    from crypto_checkout.config import ChainConfig
    from crypto_checkout.core.collect.plan_file import SignedPlan
    from crypto_checkout.services.collect.sender import SentPlan

_NOT_ALL_MOVED = 1


@click.command(short_help="Send a signed plan.")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def send(options: Options, file: Path, *, as_json: bool) -> None:
    """Send the transactions in FILE, which `collect sign` wrote, and wait until they are in blocks.

    It needs no key. Run it again after an interruption: what is in a block is not sent twice. The exit code is 1
    if a planned amount didn't move.
    """
    signed = files.read_signed(file)
    config = load_config(options)
    for chain in config.chains:
        if chain.id == signed.plan.chain_id:
            break
    else:
        fail(f"The plan is for chain {signed.plan.chain_id}, which is not configured here.")
    sent = _sent(chain, signed)
    if as_json:
        print_json(_as_object(signed, sent))
    else:
        click.echo("\n".join(_lines(sent, chain)))
    if sent.not_moved:
        sys.exit(_NOT_ALL_MOVED)


def _sent(chain: "ChainConfig", signed: "SignedPlan") -> "SentPlan":
    from crypto_checkout.app import collecting
    from crypto_checkout.core.errors import FatalError, RecoverableError
    from crypto_checkout.services.collect.sender import CannotSend

    async def work() -> "SentPlan":
        async with collecting.sender(chain, lambda sentence: click.echo(sentence, err=True)) as sender:
            return await sender.send(signed)

    try:
        return asyncio.run(work())
    except (CannotSend, FatalError) as error:
        fail(f"{error}.")
    except RecoverableError as error:
        fail(f"{chain.name} can't be reached now: {error}. Run this again; nothing is sent twice.")


def _lines(sent: "SentPlan", chain: "ChainConfig") -> list[str]:
    lines = ["Moved:", *words.totals(sent.moved)] if sent.moved else ["Nothing moved."]
    if sent.not_moved:
        lines += ["Not moved; make a new plan to try again:"]
        lines += [f"  index {each.index}: {tables.plain(each.asset.symbol)}" for each in sent.not_moved]
    lines.append(f"Fees: {words.coin(sent.fee, chain.native_symbol)}.")
    return lines


def _as_object(signed: "SignedPlan", sent: "SentPlan") -> dict[str, object]:
    return {
        "object": "collect_result",
        "chainId": signed.plan.chain_id,
        "transactions": [
            {"hash": tx_hash, "block": receipt.block_number, "succeeded": receipt.has_succeeded}
            for tx_hash, receipt in sent.receipts.items()
        ],
        "moved": len(sent.moved),
        "notMoved": [{"index": each.index, "asset": each.asset.symbol} for each in sent.not_moved],
        "fee": str(sent.fee),
    }

"""`crypto-checkout chains`: reanchor a stopped chain."""

import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json, require_database, with_database

if TYPE_CHECKING:
    from crypto_checkout.config import ChainConfig, Config
    from crypto_checkout.core.ledger.follow import Header
    from crypto_checkout.services.ledger.reanchor import Reanchoring, ReanchorPlan
    from crypto_checkout.store.database import Database
    from crypto_checkout.store.ledger.cursors import Cursor


@click.group()
def chains() -> None:
    """Restart a stopped chain."""


@chains.command(short_help="Continue from the current head of a chain that was reset.")
@click.argument("chain", metavar="CHAIN")
@click.option(
    "--from", "first_block", type=click.IntRange(min=1), metavar="BLOCK", help="Process blocks from this one on."
)
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@json_option
@click.pass_obj
def reanchor(options: Options, *, chain: str, first_block: int | None, yes: bool, as_json: bool) -> None:
    """Continue from the current head of a chain that differs from the one followed so far.

    CHAIN is its ID or name. A chain stops when its node no longer has any of the last processed blocks: a test network
    was reset, or the node was on a wrong fork. As after any reorganisation, what is still on the chain stays, and
    other payments are taken back: a paid session without its money becomes failed, and webhooks report it. Open
    sessions are kept. Blocks in between are not searched unless --from names the first of them; native coins in
    them show in the balances.

    The effects are shown first. The server can keep running; it continues automatically.
    """
    config = load_config(options)
    require_database(config)
    found = _chain(config, chain)
    if not yes and (as_json or not sys.stdin.isatty()):
        fail("This asks for confirmation. Add --yes to continue without it.")

    async def work(db: "Database") -> "tuple[ReanchorPlan, int | None]":
        from crypto_checkout.app import offline
        from crypto_checkout.core.errors import RecoverableError

        async with offline.reanchoring(config, db, found.id) as service:
            try:
                return await _decide(service, found, first_block, yes=yes, is_quiet=as_json)
            except RecoverableError as error:
                fail(f"{found.name} can't be read: {error}. Nothing was changed.")

    plan, judged = with_database(options, work)
    if as_json:
        print_json(_as_object(plan, judged or 0))
    elif judged is None:
        click.echo("Nothing was changed.")
    else:
        click.echo(f"{found.name} continues after block {plan.anchor.number:,}. Sessions judged again: {judged}.")


async def _decide(
    service: "Reanchoring", chain: "ChainConfig", first_block: int | None, *, yes: bool, is_quiet: bool
) -> "tuple[ReanchorPlan, int | None]":
    """Show the plan, ask, and carry it out; the number of judged sessions is None after a no."""
    from crypto_checkout.core.owner.audit import COMMAND_LINE

    plan = await service.plan(first_block)
    if not is_quiet:
        click.echo("\n".join(_lines(chain.name, plan)))
    if not yes and not click.confirm("Continue?"):
        return plan, None
    return plan, await service.carry_out(plan, COMMAND_LINE)


def _chain(config: "Config", name: str) -> "ChainConfig":
    found = [each for each in config.chains if name == str(each.id) or name.casefold() == each.name.casefold()]
    if not found:
        known = ", ".join(f"{chain.id} ({chain.name})" for chain in config.chains) or "none"
        fail(f"No chain {name[:40]} is configured; there is {known}.")
    return found[0]


# --- for people ------------------------------------------------------------------------------------------------------


def _lines(name: str, plan: "ReanchorPlan") -> list[str]:
    orphans = plan.orphans
    if plan.shared is None:
        shared = "No block with a payment that this server knows is on the chain."
    else:
        shared = f"Payments up to block {plan.shared:,} are still on the chain and stay."
    taken = (
        f"{tables.count(orphans.payments, 'payment')} of {tables.count(orphans.sessions, 'session')}, "
        f"{orphans.settled} of them settled; {orphans.unmatched} unmatched"
    )
    pairs = [
        ("processed so far", _block(plan.before)),
        ("continues after", _block(plan.anchor)),
        ("forgotten", tables.count(plan.forgotten_blocks, "remembered block")),
        ("taken back", taken),
        ("kept", tables.count(plan.open_sessions, "open session")),
    ]
    return [f"{name} (chain {plan.chain_id})", "", *tables.fields(pairs), "", *_wrapped(shared), *_advice(plan), ""]


def _advice(plan: "ReanchorPlan") -> list[str]:
    if plan.shared is None or plan.anchor.number <= plan.shared:
        return _wrapped("Compare the block it continues after with an explorer, or with a second node.")
    return _wrapped(
        f"Blocks from {plan.shared + 1:,} to {plan.anchor.number:,} are not searched for payments. To search them too: "
        f"--from {plan.shared + 1}. Compare the block it continues after with an explorer first."
    )


def _block(block: "Cursor | Header") -> str:
    return f"block {block.number:,} {block.hash} of {block.time:%Y-%m-%d %H:%M:%S} UTC"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, tables.WIDTH, break_on_hyphens=False, break_long_words=False)


# --- for programs ----------------------------------------------------------------------------------------------------


def _as_object(plan: "ReanchorPlan", judged: int) -> dict[str, Any]:
    return {
        "object": "reanchoring",
        "chainId": plan.chain_id,
        "before": _block_object(plan.before),
        "after": _block_object(plan.anchor),
        "newestSharedBlock": plan.shared,
        "forgottenBlocks": plan.forgotten_blocks,
        "paymentsTakenBack": plan.orphans.payments,
        "unmatchedTakenBack": plan.orphans.unmatched,
        "sessionsJudged": judged,
        "openSessions": plan.open_sessions,
    }


def _block_object(block: "Cursor | Header") -> dict[str, Any]:
    from crypto_checkout.core import moments

    return {"number": block.number, "hash": block.hash, "time": moments.to_text(block.time)}

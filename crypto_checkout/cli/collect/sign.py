"""`crypto-checkout collect sign`: sign a plan with the recovery phrase; no network, no configuration, no database."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.collect import files, words
from crypto_checkout.cli.support import terminal
from crypto_checkout.cli.support.setup import fail

if TYPE_CHECKING:
    from crypto_checkout.core.collect.plan import Plan

_COIN = "of the chain's coin"
_COIN_DECIMALS = 18


@click.command(short_help="Sign a plan with your recovery phrase; needs no network.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file for the signed plan."
)
@click.option("--max-fee", metavar="AMOUNT", help="Refuse a plan whose fees can exceed this much of the chain's coin.")
def sign(file: Path, *, out: Path, max_fee: str | None) -> None:
    """Sign the plan in FILE with the recovery phrase of your wallet.

    It asks for the chain and the destination instead of trusting the file: take both from your own wallet. The words
    are typed here, not shown, and stored nowhere. Use a machine without a network; nothing is sent.
    """
    from crypto_checkout.core.collect import plan_file
    from crypto_checkout.core.collect.plan import PlanInvalid

    try:
        plan = plan_file.read_plan(files.read(file))
    except PlanInvalid as error:
        fail(f"{file}: {error}.")
    if out.exists():
        fail(f"{out} already exists. Name another file with --out, or move this one away.")
    _refuse_high_fees(plan, max_fee)
    click.echo("\n".join(words.summary(plan, f"chain {plan.chain_id}")))
    click.echo(f"Fees: never more than {words.coin(_most_fees(plan), _COIN)}.")
    click.echo(f"sha256 of the plan: {plan_file.digest(plan)}\n")
    _confirm(plan)
    files.write(out, _signed_text(plan))
    click.echo(f"\nSigned: {out}. Send it from any machine with the chain's providers in its configuration:")
    click.echo(f"  crypto-checkout collect send {out}")


def _most_fees(plan: "Plan") -> int:
    from crypto_checkout.core.collect import plan as plans

    return plans.most_fees(plan)


def _refuse_high_fees(plan: "Plan", max_fee: str | None) -> None:
    if max_fee is None:
        return
    try:
        most = Decimal(max_fee).scaleb(_COIN_DECIMALS)
    except InvalidOperation:
        fail(f'--max-fee "{max_fee[:40]}" is not an amount: write it like 0.01.')
    if _most_fees(plan) > most:
        highest = words.coin(_most_fees(plan), _COIN)
        fail(f"Its fees can be {highest}, more than --max-fee {max_fee}. Nothing was signed.")


def _confirm(plan: "Plan") -> None:
    """Have chain and destination typed, and compare them with the plan's."""
    from crypto_checkout.core import address as addresses

    chain = terminal.ask("ID of the chain on which you collect (1 is Ethereum): ")
    if chain != str(plan.chain_id):
        fail(f"The plan is for chain {plan.chain_id}, not {chain[:20] or 'none'}. Nothing was signed.")
    typed = terminal.ask("The full destination address, pasted from your own wallet: ")
    try:
        destination = addresses.parse(typed)
    except ValueError as error:
        fail(f"{error}. Nothing was signed.")
    if destination != plan.destination:
        fail(
            f"The plan sends everything to {addresses.checksum(plan.destination)}, which is not the address you "
            "pasted. If you didn't choose it, somebody changed the plan: make a new one. Nothing was signed."
        )


def _signed_text(plan: "Plan") -> str:
    from crypto_checkout.chain.wallet import signing
    from crypto_checkout.core.collect import plan_file
    from crypto_checkout.core.collect.plan import PlanInvalid

    _no_core_dumps()
    phrase = terminal.ask_hidden("Recovery phrase (not shown): ")
    passphrase = terminal.ask_hidden("Passphrase, if your wallet has one (not shown; Enter for none): ")
    try:
        return plan_file.signed_text(signing.sign(plan, phrase, passphrase))
    except (signing.WordsInvalid, PlanInvalid) as error:
        fail(f"Not signed: {error}.")


def _no_core_dumps() -> None:
    """Keep the words out of a file that a crash might leave."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

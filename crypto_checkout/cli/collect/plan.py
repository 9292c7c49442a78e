"""`crypto-checkout collect plan`: decide what moves, and write it to a file for `collect sign`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.collect import files, safe, words
from crypto_checkout.cli.support import progress
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json, with_database

if TYPE_CHECKING:
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
    from crypto_checkout.config import ChainConfig, Config
    from crypto_checkout.services.collect.planner import Planned, PlanRequest
    from crypto_checkout.store.database import Database

_MOST_LISTED = 20


@click.command(short_help="Plan what moves, and write it to a file to be signed.")
@click.option("--chain", "chain_id", type=int, required=True, metavar="ID", help="The chain's ID.")
@click.option("--asset", metavar="SYMBOL", help="Only this coin or token.")
@click.option(
    "--to",
    "destination",
    metavar="ADDRESS",
    help="The address that receives everything. Deposits of a cold address don't need it.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file for the plan.")
@click.option(
    "--way",
    type=click.Choice(["eip7702", "transfers"]),
    help="Batches (EIP-7702) or single transfers. Default: batches if the chain supports them.",
)
@click.option("--xpub", "older_xpub", metavar="XPUB", help="An older wallet's key, instead of the configured one.")
@json_option
@click.pass_obj
def plan(
    options: Options,
    *,
    chain_id: int,
    asset: str | None,
    destination: str | None,
    out: Path,
    way: str | None,
    older_xpub: str | None,
    as_json: bool,
) -> None:
    """Plan what leaves the addresses of your wallet, and write it to FILE for `collect sign`.

    Only amounts that are final and worth twice their fee are included; the others are listed with the reason.
    Nothing moves yet. The server can keep running.

    Without --to, FILE is for Safe's Transaction Builder, and collects from the deposits of your cold address.
    """
    from crypto_checkout.core import address as addresses
    from crypto_checkout.core.collect import plan_file
    from crypto_checkout.core.collect.plan import Way
    from crypto_checkout.services.collect.planner import PlanRequest

    config = load_config(options)
    chain = _chain(config, chain_id)
    if out.exists():
        fail(f"{out} already exists. Name another file with --out, or move this one away.")
    if destination is None:
        safe.plan(options, config, chain, asset, out, as_json=as_json)
        return
    key = _key(config, older_xpub)
    try:
        to = addresses.parse(destination)
    except ValueError as error:
        fail(f"--to: {error}.")
    request = PlanRequest(to, asset, None if way is None else Way(way))
    planned = _planned(options, config, chain, key, request)
    if planned.plan is not None:
        files.write(out, plan_file.plan_text(planned.plan))
    if as_json:
        print_json(_as_object(planned, out))
    else:
        click.echo("\n".join(_lines(planned, chain, out)))


def _chain(config: "Config", chain_id: int) -> "ChainConfig":
    chain = next((each for each in config.chains if each.id == chain_id), None)
    if chain is None:
        known = ", ".join(f"{each.id} ({each.name})" for each in config.chains) or "no chain"
        fail(f"Chain {chain_id} is not configured; the configuration has {known}.")
    return chain


def _key(config: "Config", older_xpub: str | None) -> "ExtendedPublicKey":
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey

    if older_xpub is not None:
        try:
            return ExtendedPublicKey.parse(older_xpub)
        except ValueError as error:
            fail(f"--xpub: {error}")
    if not config.wallet.xpub:
        cold = (
            " Leave --to out to collect from the deposits of your cold address." if config.wallet.cold_address else ""
        )
        fail(f"There is no [wallet] xpub in the configuration, so there is no wallet to collect from.{cold}")
    return ExtendedPublicKey.parse(config.wallet.xpub)


def _planned(
    options: Options, config: "Config", chain: "ChainConfig", key: "ExtendedPublicKey", request: "PlanRequest"
) -> "Planned":
    from crypto_checkout.app import collecting
    from crypto_checkout.core.errors import RecoverableError
    from crypto_checkout.services.collect.planner import CannotCollect

    async def work(db: "Database") -> "Planned":
        with progress.shown("addresses") as report:

            def shown(done: int, total: int) -> None:
                report(chain.name, done, total)

            async with collecting.planner(config, db, chain, key, shown) as planner:
                return await planner.plan(request)

    try:
        return with_database(options, work)
    except CannotCollect as error:
        fail(f"{error}.")
    except RecoverableError as error:
        fail(f"{chain.name} can't be read now: {error}.")


# --- for people ------------------------------------------------------------------------------------------------------


def _lines(planned: "Planned", chain: "ChainConfig", out: Path) -> Iterator[str]:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.collect import plan as plans
    from crypto_checkout.core.collect import plan_file

    coin = chain.native_symbol
    yield from words.left_behind(planned.left_behind, _MOST_LISTED)
    if planned.plan is None:
        yield f"Nothing on {chain.name} is final and worth moving: no plan was written."
        return
    plan = planned.plan
    yield from words.summary(plan, chain.name)
    if planned.without_batches:
        yield f"One transfer after the other: {planned.without_batches}."
    most = plans.most_fees(plan)
    yield f"Fees: about {words.coin(planned.likely_fee, coin)}, never more than {words.coin(most, coin)}."
    if planned.fuel_held < plan.fuel.units:
        missing = plan.fuel.units - planned.fuel_held
        yield ""
        yield f"Gas is paid from {checksum(plan.fuel.address)} of the same wallet, which doesn't hold enough."
        yield f"Send it {words.coin(missing, coin)}; what isn't used stays there."
    yield ""
    yield f"The plan is in {out} and valid for 7 days (sha256 {plan_file.digest(plan)[:16]}…)."
    yield "Sign it on the machine where you type your recovery phrase, which needs no network:"
    yield f"  crypto-checkout collect sign {out} --out {out.with_suffix('.signed.json')}"


def _as_object(planned: "Planned", out: Path) -> dict[str, object]:
    from crypto_checkout.core.collect import plan as plans
    from crypto_checkout.core.collect import plan_file

    plan = planned.plan
    return {
        "object": "collect_plan",
        "file": None if plan is None else str(out),
        "sha256": None if plan is None else plan_file.digest(plan),
        "way": None if plan is None else plan.way.value,
        "items": 0 if plan is None else len(plan.items),
        "leftBehind": len(planned.left_behind),
        "withoutBatches": planned.without_batches,
        "likelyFee": str(planned.likely_fee),
        "maxTotalFee": "0" if plan is None else str(plans.most_fees(plan)),
        "fuelNeeded": "0" if plan is None else str(plan.fuel.units),
        "fuelHeld": str(planned.fuel_held),
    }

"""`crypto-checkout collect setup`: show how to put the contracts that collect on a chain."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import load_config, print_json

if TYPE_CHECKING:
    from crypto_checkout.core.collect.contracts import Contract
    from crypto_checkout.services.collect.deployment import ChainSetup


@click.command(short_help="Show how to deploy the contracts that collect.")
@json_option
@click.pass_obj
def setup(options: Options, *, as_json: bool) -> None:
    """Show the transactions that deploy the contracts that collect on your chains, where they are missing.

    Two transactions for each chain, once and for everyone. Any account may send them, and nobody owns the contracts:
    their addresses and bytes are the same everywhere. This command sends nothing.
    """
    from crypto_checkout import log
    from crypto_checkout.app import collecting

    log.silence()
    found = asyncio.run(collecting.setups(load_config(options)))
    if as_json:
        print_json({"object": "collect_setup", "chains": [_setup_object(each) for each in found]})
    else:
        click.echo("\n".join(_setup_lines(found)))


def _setup_object(setup: "ChainSetup") -> dict[str, Any]:
    return {
        "chainId": setup.chain_id,
        "name": setup.name,
        "problem": setup.problem,
        "transactions": [_deployment(each) for each in setup.missing],
    }


def _deployment(contract: "Contract") -> dict[str, Any]:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.collect.contracts import CREATE2_PROXY
    from crypto_checkout.services.collect.deployment import GAS

    return {
        "contract": contract.name,
        "address": checksum(contract.address),
        "to": checksum(CREATE2_PROXY),
        "value": "0",
        "data": "0x" + contract.deployment.hex(),
        "gas": GAS[contract],
    }


def _setup_lines(found: "list[ChainSetup]") -> list[str]:
    if not found:
        return ["No chain is configured: enable one in checkout.toml first."]
    lines, contracts = [], {contract for each in found for contract in each.missing}
    for each in found:
        if each.missing:
            state = f"lacks {' and '.join(contract.name for contract in each.missing)}"
        else:
            state = each.problem or "has everything that collecting needs"
        lines.append(f"{each.name} ({each.chain_id}) {state}" if each.problem is None else f"{each.name}: {state}")
    if not contracts:
        return lines
    lines += [
        "",
        "Send these on each chain that lacks them, in this order, from any account with some of its coin for the",
        "fee: paste them into a wallet that accepts data, or use Foundry's cast. NODE is an RPC URL of the chain,",
        "and --ledger may be --trezor, or --account with a keystore's name.",
    ]
    for contract in sorted(contracts, key=lambda each: each.name, reverse=True):
        lines += ["", *_deployment_lines(contract)]
    return [*lines, "", "Then check: crypto-checkout doctor. A running server notices within a minute."]


def _deployment_lines(contract: "Contract") -> list[str]:
    made = _deployment(contract)
    return [
        f"{contract.name}, {made['gas']:,} gas, will be at {made['address']}:",
        *tables.fields([("to", made["to"]), ("value", "0"), ("data", made["data"])]),
        f"  cast send --rpc-url NODE --ledger {made['to']} {made['data']}",
    ]

"""`crypto-checkout collect key`: make the key that pays for automatic collection."""

import os
import secrets
from pathlib import Path

import click

from crypto_checkout.cli.support.setup import fail

_KEY_BYTES = 32


@click.command(short_help="Create a key that pays for automatic collection.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The key's file.")
def key(out: Path) -> None:
    """Write a new private key to FILE, and show its account.

    The server uses it only to pay for gas when it collects. The key can't move money anywhere but to you.
    Keep no more than the cost of collecting in its account.
    """
    from crypto_checkout.chain.wallet.fuel_key import FuelKey
    from crypto_checkout.core.address import checksum

    secret = secrets.token_bytes(_KEY_BYTES)
    made = FuelKey.of(secret)
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret.hex() + "\n")
    except FileExistsError:
        fail(f"{out} already exists. Name another file with --out, or move this one away.")
    except OSError as error:
        fail(f"{out} can't be written: {error.strerror or error}.")
    click.echo(f"The key is in {out}, which only you can read. Its account, the same on every chain:")
    click.echo(f"  {checksum(made.address)}")
    click.echo("Send it some coin for gas on each chain, name the file in checkout.toml, and restart the server:")
    click.echo(f'  [collector]\n  key_file = "{out}"')

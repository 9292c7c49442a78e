"""`crypto-checkout collect`: move money on from the addresses that payers paid. Only `sign` takes a key, offline.

`setup` and `recover` are for deposits of a cold address; `plan`, `sign` and `send` for a wallet with an xpub.
"""

import click

# The modules, not the commands in them: those have the same names and would hide them.
from crypto_checkout.cli.collect import plan, recover, send, setup, sign


@click.group()
def collect() -> None:
    """Move money on from the addresses that payers paid."""


for command in (plan.plan, sign.sign, send.send, setup.setup, recover.recover):
    collect.add_command(command)

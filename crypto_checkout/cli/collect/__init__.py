"""`crypto-checkout collect`: see where the money is, and move it on. Only `sign` takes the keys of a wallet, offline.

`setup` and `recover` are for deposits of a cold address; `plan`, `sign` and `send` for a wallet with an xpub; `key` for
a server that collects by itself.
"""

import click

# The modules, not the commands in them: those have the same names and would hide them.
from crypto_checkout.cli.collect import key, past, plan, recover, send, setup, sign, status


@click.group()
def collect() -> None:
    """Show where the money is, and collect it."""


for command in (
    status.status,
    plan.plan,
    sign.sign,
    send.send,
    past.list_collections,
    setup.setup,
    recover.recover,
    key.key,
):
    collect.add_command(command)

"""`crypto-checkout demo`: show the whole way of a payment on this machine."""

import click


@click.command()
def demo() -> None:
    """Show a payment from the link to the signed webhook, against a real node on this machine."""

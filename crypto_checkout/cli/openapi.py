"""`crypto-checkout openapi`: print the API's description."""

import click

from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import load_config, print_json


@click.command()
@click.pass_obj
def openapi(options: Options) -> None:
    """Print the OpenAPI 3.1 document of this server's API."""
    from crypto_checkout.http.api.openapi import document
    from crypto_checkout.http.api.table import table

    print_json(document(table(), load_config(options).server.public_url))

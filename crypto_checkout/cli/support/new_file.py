"""The text of a new checkout.toml: the commented example with a wallet, chains and a public URL in it.

`init` and `install` write it. Nothing here asks, and nothing heavy is imported before a function needs it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from crypto_checkout.services.reporting.config_snippets import Preset

_COLD = """\
Everything will go to {address}
Compare it with the address that your wallet shows, and make sure that you can spend from it on every chain: once a
payment is requested, its destination can't be changed. Each payment gets its own address, whose small contract can
pay only this one; you collect whenever you like. Know its limits: /docs/cold-address on your server.
"""
_PUBLIC = """\
WARNING: this address belongs to the public test wallet, whose words everyone knows: anyone can take its money.
"""


@dataclass(frozen=True, slots=True)
class ChosenWallet:
    """The wallet for the file: an address in the spelling of EIP-55 or an extended public key; neither for none."""

    cold_address: str = ""
    xpub: str = ""

    def __bool__(self) -> bool:
        return bool(self.cold_address or self.xpub)


def parse_cold_address(text: str) -> str:
    """Return the address in the spelling of EIP-55, or refuse the option."""
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.collect.destination import parse_destination

    try:
        return checksum(parse_destination(text))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--cold-address") from None


def parse_xpub(text: str) -> str:
    """Return the extended public key, or refuse the option without repeating what it holds."""
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey

    try:
        return str(ExtendedPublicKey.parse(text))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--xpub") from None


def parse_public_url(text: str) -> str:
    """Return the URL as `[server] public_url` takes it, or refuse the option."""
    from pydantic import TypeAdapter, ValidationError

    from crypto_checkout.config.values import PublicUrl

    try:
        return TypeAdapter(PublicUrl).validate_python(text)
    except ValidationError as error:
        (detail,) = error.errors()
        reason = detail["msg"].removeprefix("Value error, ")
        raise click.BadParameter(f"{reason}.", param_hint="--public-url") from None


def find_chains(names: tuple[str, ...]) -> "list[Preset]":
    """Return the presets of these names, or refuse the option; loads them only where there are any."""
    if not names:
        return []
    from crypto_checkout.services.reporting import config_snippets

    try:
        return [config_snippets.find_preset(name) for name in names]
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--chain") from None


def require_wallet(wallet: ChosenWallet, chains: "list[Preset]") -> None:
    """Refuse chains without a wallet."""
    if chains and not wallet:
        raise click.UsageError("A chain needs a wallet: add --cold-address, --wallet or --xpub, or leave out --chain.")


def text(wallet: ChosenWallet, chains: "list[Preset]", public_url: str | None) -> str:
    """Return the text of the file. A proxy on this machine is trusted where the URL needs one for its certificate."""
    from importlib.resources import files

    made = (files("crypto_checkout") / "checkout.toml.example").read_text(encoding="utf-8")
    if chains:
        from crypto_checkout.services.reporting import config_snippets

        made = config_snippets.switched_on(made, chains)
    if public_url is not None:
        made = made.replace('\npublic_url = "http://127.0.0.1:4020"\n', f'\npublic_url = "{public_url}"\n')
        if public_url.startswith("https:"):
            made = made.replace("\ntrusted_proxies = []\n", '\ntrusted_proxies = ["127.0.0.1"]\n')
    made = made.replace('\ncold_address = ""\n', f'\ncold_address = "{wallet.cold_address}"\n')
    return made.replace('\nxpub = ""\n', f'\nxpub = "{wallet.xpub}"\n')


def show_cold_address(address: str) -> None:
    """Say what it means that all money goes there, and warn of an address whose words everybody knows."""
    from crypto_checkout.app import wallets
    from crypto_checkout.core.address import Address

    click.echo(_COLD.format(address=address))
    if wallets.is_public(Address(address.lower())):
        click.echo(_PUBLIC, err=True)


def show_addresses(xpub: str) -> None:
    """Show the first addresses of a key, to be compared with those of the wallet."""
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
    from crypto_checkout.core.address import checksum

    key = ExtendedPublicKey.parse(xpub)
    click.echo("The first addresses. Compare them with those in your wallet:")
    for index in range(3):
        click.echo(f"  {index}  {checksum(key.address(index))}")
    click.echo("If only the first is the same, see /docs/wallets: Ledger Live shows one address of each account.")

"""`crypto-checkout init`: write a commented checkout.toml, with a cold address, a key, or a new wallet on request.

The recovery phrase of a new wallet is printed once and stored nowhere; the file gets the extended public key only.
Nothing heavy is imported before the command runs.
"""

import os
import secrets
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import this_program

if TYPE_CHECKING:
    from crypto_checkout.services.reporting.config_snippets import Preset

_TRIES = 3
_WARNING = """\
These 12 words are your wallet. Write them on paper, in this order, now.

{words}

They are not stored anywhere and can't be shown again. Anyone who has them has your money; if you lose them, your
money is lost. Don't photograph them, and don't keep them on this server.
"""
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
class _Wallet:
    """The wallet for the file: an address in the spelling of EIP-55 or an extended public key; neither for none."""

    cold_address: str = ""
    xpub: str = ""

    def __bool__(self) -> bool:
        return bool(self.cold_address or self.xpub)


@click.command(short_help="Write a commented checkout.toml, with a wallet if you want.")
@click.option("--wallet/--no-wallet", default=None, help="Create a new wallet, or none, without asking.")
@click.option("--cold-address", metavar="ADDRESS", help="Send all money to this address of yours.")
@click.option("--xpub", metavar="XPUB", help="Use the wallet with this extended public key (m/44'/60'/0').")
@click.option(
    "--chain",
    "names",
    multiple=True,
    metavar="CHAIN",
    help="Enable a chain, by name or ID: base, 8453. Can be repeated.",
)
@click.option("--force", is_flag=True, help="Replace an existing file; the old one is kept beside it.")
@click.pass_obj
def init(
    options: Options,
    *,
    wallet: bool | None,
    cold_address: str | None,
    xpub: str | None,
    names: tuple[str, ...],
    force: bool,
) -> None:
    """Write a commented checkout.toml, with a wallet and chains for real money if you want."""
    given = [name for name, value in (("--cold-address", cold_address), ("--xpub", xpub)) if value is not None]
    if given and (wallet is not None or len(given) > 1):
        raise click.UsageError(f"{given[0]} already chooses the wallet; leave out --wallet, --no-wallet and the other")
    chains = _find_chains(names)
    target = options.config_path or Path(options.environ.get("CHECKOUT_CONFIG") or "checkout.toml")
    _check_target(target, force=force)
    if cold_address is not None:
        chosen = _Wallet(cold_address=_parse_cold_address(cold_address))
        _show_cold_address(chosen.cold_address)
    else:
        chosen = _Wallet(xpub=_given_xpub(xpub)) if xpub is not None else _choose(wallet)
    if chains and not chosen:
        raise click.UsageError("A chain needs a wallet: add --cold-address, --wallet or --xpub, or leave out --chain.")
    kept = _write(target, _text(chosen, chains), force=force)
    if kept:
        click.echo(f"The previous file is now {kept}.")
    click.echo(f"Wrote {target}, readable only by you.")
    _show_next_step(options, chosen, chains)


# --- the wallet ------------------------------------------------------------------------------------------------------


def _choose(wallet: bool | None) -> _Wallet:
    """Return the wallet for the file; asks on a terminal only."""
    if wallet is None and _on_terminal():
        wallet = click.confirm("Create a new wallet for the money now?", default=False)
        if not wallet:
            return _prompt()
    return _Wallet(xpub=_new_wallet()) if wallet else _Wallet()


def _prompt() -> _Wallet:
    click.echo(
        "Then paste where the money should go: an ordinary address of yours (0x…; see /docs/cold-address), or the "
        "extended public key (xpub…) of your wallet's account, m/44'/60'/0' (see /docs/wallets)."
    )

    def read(text: str) -> _Wallet:
        try:
            if text.strip()[:2].lower() == "0x":
                return _Wallet(cold_address=_parse_cold_address(text))
            return _Wallet(xpub=_parse_xpub(text)) if text.strip() else _Wallet()
        except click.BadParameter as error:
            raise click.UsageError(error.message) from None

    chosen: _Wallet = click.prompt("Address or xpub (Enter to skip)", default="", show_default=False, value_proc=read)
    if chosen.cold_address:
        _show_cold_address(chosen.cold_address)
    elif chosen.xpub:
        _show_addresses(chosen.xpub)
    return chosen


def _parse_cold_address(text: str) -> str:
    from crypto_checkout.core.address import checksum
    from crypto_checkout.core.collect.destination import parse_destination

    try:
        return checksum(parse_destination(text))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--cold-address") from None


def _show_cold_address(address: str) -> None:
    from crypto_checkout.app import wallets
    from crypto_checkout.core.address import Address

    click.echo(_COLD.format(address=address))
    if wallets.is_public(Address(address.lower())):
        click.echo(_PUBLIC, err=True)


def _given_xpub(text: str) -> str:
    """Return the key of `--xpub`, and show what it leads to."""
    key = _parse_xpub(text)
    _show_addresses(key)
    return key


def _parse_xpub(text: str) -> str:
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey

    try:
        return str(ExtendedPublicKey.parse(text))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--xpub") from None


def _new_wallet() -> str:
    from crypto_checkout.chain.wallet.mnemonic import ENTROPY_BYTES, new_wallet

    made = new_wallet(secrets.token_bytes(ENTROPY_BYTES))
    words = made.mnemonic.split()
    click.echo(_WARNING.format(words=_in_rows(words)))
    if _on_terminal():
        _confirm(words)
    _show_addresses(made.xpub)
    return made.xpub


def _in_rows(words: list[str]) -> str:
    numbered = [f"{number:>4}. {word:<10}" for number, word in enumerate(words, 1)]
    return "\n".join("".join(numbered[start : start + 4]).rstrip() for start in range(0, len(numbered), 4))


def _confirm(words: list[str]) -> None:
    """Wait until the words are on paper, and ask for two of them. Fails after too many wrong answers."""
    click.prompt("Press Enter when you have written them down", default="", show_default=False, prompt_suffix=": ")
    click.clear()  # Scrolled lines stay in the terminal's memory, hence the advice to close the window.
    for number in sorted(secrets.SystemRandom().sample(range(1, len(words) + 1), 2)):
        if not _reads_back(number, words[number - 1]):
            raise click.ClickException("The words were not confirmed. Nothing was written; start again with `init`.")
    click.echo("Correct. Close this window when you are done: it may still remember the words.")


def _reads_back(number: int, word: str) -> bool:
    for _ in range(_TRIES):
        answer: str = click.prompt(f"Word number {number}", default="", show_default=False)
        if answer.strip().lower() == word:
            return True
        click.echo(f"That is not word number {number}. Check your paper.")
    return False


def _show_addresses(xpub: str) -> None:
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
    from crypto_checkout.core.address import checksum

    key = ExtendedPublicKey.parse(xpub)
    click.echo("The first addresses. Compare them with those in your wallet:")
    for index in range(3):
        click.echo(f"  {index}  {checksum(key.address(index))}")
    click.echo("If only the first is the same, see /docs/wallets: Ledger Live shows one address of each account.")


# --- the chains ------------------------------------------------------------------------------------------------------


def _find_chains(names: tuple[str, ...]) -> "list[Preset]":
    """Return the presets of these names; loads them only where there are any."""
    if not names:
        return []
    from crypto_checkout.services.reporting import config_snippets

    try:
        return [config_snippets.find_preset(name) for name in names]
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--chain") from None


# --- the file --------------------------------------------------------------------------------------------------------


def _text(wallet: _Wallet, chains: "list[Preset]") -> str:
    from importlib.resources import files

    text = (files("crypto_checkout") / "checkout.toml.example").read_text(encoding="utf-8")
    if chains:
        from crypto_checkout.services.reporting import config_snippets

        text = config_snippets.switched_on(text, chains)
    text = text.replace('\ncold_address = ""\n', f'\ncold_address = "{wallet.cold_address}"\n')
    return text.replace('\nxpub = ""\n', f'\nxpub = "{wallet.xpub}"\n')


def _check_target(target: Path, *, force: bool) -> None:
    """Refuse an unusable target before the owner has written twelve words on paper."""
    if not target.parent.is_dir():
        raise click.ClickException(f"There is no folder {target.parent}; create it first.")
    try:
        tempfile.TemporaryFile(dir=target.parent).close()  # os.access is always true for root, even on a read-only disk
    except OSError as error:
        raise _write_error(target, error) from None
    if target.is_symlink() or target.exists():
        if not force:
            raise _exists_error(target)
        if target.is_symlink() or not target.is_file():
            raise click.ClickException(f"{target} is not an ordinary file; choose another name with --config.")
        if _old_path(target).exists():
            raise click.ClickException(f"{_old_path(target)} already exists; move it away first.")


def _exists_error(target: Path) -> click.ClickException:
    return click.ClickException(
        f"{target} already exists and was not changed. Edit it, choose another name with --config, "
        f"or replace it with --force (the old one is kept as {_old_path(target).name})."
    )


def _write_error(target: Path, error: OSError) -> click.ClickException:
    return click.ClickException(
        f"{target} can't be written: {error.strerror}. Run this in a folder you own, or name one with --config FILE."
    )


def _old_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.old")


def _write(target: Path, text: str, *, force: bool) -> Path | None:
    """Put the file in place completely or not at all; return the path under which an old one was kept."""
    from crypto_checkout.store import files

    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return _put_in_place(temporary, target, force=force)
    except FileExistsError:
        raise _exists_error(target) from None
    except OSError as error:
        raise _write_error(target, error) from None
    finally:
        temporary.unlink(missing_ok=True)
        files.sync_folder(target.parent)


def _put_in_place(temporary: Path, target: Path, *, force: bool) -> Path | None:
    from crypto_checkout.store import files

    if force and target.exists():
        # A second name for the old file, so that at no moment is there no file.
        files.link(target, _old_path(target))
        temporary.replace(target)
        return _old_path(target)
    files.link(temporary, target)
    return None


# --- the next step ---------------------------------------------------------------------------------------------------


def _show_next_step(options: Options, wallet: _Wallet, chains: "list[Preset]") -> None:
    command = this_program()
    if options.config_path:
        command += f" --config {shlex.quote(str(options.config_path))}"
    if chains:
        click.echo(
            f"{', '.join(each.name for each in chains)}: enabled, with public nodes as a start. Enter nodes of "
            "your own, compare the token addresses, and set [server] public_url."
        )
    elif wallet:
        click.echo("To take real money, uncomment a [[chains]] block in it and set [server] public_url.")
    else:
        click.echo(
            "It has no wallet yet, so only test mode works. To take real money, set [wallet] cold_address or xpub in "
            "it."
        )
    if wallet.cold_address:
        click.echo("Once for each chain, before the first payment, run: crypto-checkout collect setup")
    click.echo(f"Next: {command} serve")


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()

"""`crypto-checkout init`: write a commented checkout.toml, with a cold address, a key, or a new wallet on request.

The recovery phrase of a new wallet is printed once and stored nowhere; the file gets the extended public key only.
Nothing heavy is imported before the command runs.
"""

import os
import secrets
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import new_file
from crypto_checkout.cli.support.new_file import ChosenWallet
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
@click.option("--public-url", metavar="URL", help="The URL by which payers reach the server: https://pay.example.com.")
@click.option("--force", is_flag=True, help="Replace an existing file; the old one is kept beside it.")
@click.pass_obj
def init(
    options: Options,
    *,
    wallet: bool | None,
    cold_address: str | None,
    xpub: str | None,
    names: tuple[str, ...],
    public_url: str | None,
    force: bool,
) -> None:
    """Write a commented checkout.toml, with a wallet and chains for real money if you want."""
    given = [name for name, value in (("--cold-address", cold_address), ("--xpub", xpub)) if value is not None]
    if given and (wallet is not None or len(given) > 1):
        raise click.UsageError(f"{given[0]} already chooses the wallet; leave out --wallet, --no-wallet and the other")
    chains = new_file.find_chains(names)
    url = None if public_url is None else new_file.parse_public_url(public_url)
    target = options.config_path or Path(options.environ.get("CHECKOUT_CONFIG") or "checkout.toml")
    _check_target(target, force=force)
    if cold_address is not None:
        chosen = ChosenWallet(cold_address=new_file.parse_cold_address(cold_address))
        new_file.show_cold_address(chosen.cold_address)
    else:
        chosen = ChosenWallet(xpub=_given_xpub(xpub)) if xpub is not None else _choose(wallet)
    new_file.require_wallet(chosen, chains)
    kept = _write(target, new_file.text(chosen, chains, url), force=force)
    if kept:
        click.echo(f"The previous file is now {kept}. The new one belongs to the same user.")
    click.echo(f"Wrote {target}{'' if kept else ', readable only by you'}.")
    _show_next_step(options, chosen, chains, url)


# --- the wallet ------------------------------------------------------------------------------------------------------


def _choose(wallet: bool | None) -> ChosenWallet:
    """Return the wallet for the file; asks on a terminal only."""
    if wallet is None and _on_terminal():
        wallet = click.confirm("Create a new wallet for the money now?", default=False)
        if not wallet:
            return _prompt()
    return ChosenWallet(xpub=_new_wallet()) if wallet else ChosenWallet()


def _prompt() -> ChosenWallet:
    click.echo(
        "Then paste where the money should go: an ordinary address of yours (0x…; see /docs/cold-address), or the "
        "extended public key (xpub…) of your wallet's account, m/44'/60'/0' (see /docs/wallets)."
    )

    def read(text: str) -> ChosenWallet:
        try:
            if text.strip()[:2].lower() == "0x":
                return ChosenWallet(cold_address=new_file.parse_cold_address(text))
            return ChosenWallet(xpub=new_file.parse_xpub(text)) if text.strip() else ChosenWallet()
        except click.BadParameter as error:
            raise click.UsageError(error.message) from None

    chosen: ChosenWallet = click.prompt(
        "Address or xpub (Enter to skip)", default="", show_default=False, value_proc=read
    )
    if chosen.cold_address:
        new_file.show_cold_address(chosen.cold_address)
    elif chosen.xpub:
        new_file.show_addresses(chosen.xpub)
    return chosen


def _given_xpub(text: str) -> str:
    """Return the key of `--xpub`, and show what it leads to."""
    key = new_file.parse_xpub(text)
    new_file.show_addresses(key)
    return key


def _new_wallet() -> str:
    from crypto_checkout.chain.wallet.mnemonic import ENTROPY_BYTES, new_wallet

    made = new_wallet(secrets.token_bytes(ENTROPY_BYTES))
    words = made.mnemonic.split()
    click.echo(_WARNING.format(words=_in_rows(words)))
    if _on_terminal():
        _confirm(words)
    new_file.show_addresses(made.xpub)
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


# --- the file --------------------------------------------------------------------------------------------------------


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
        _give_rights_of(_old_path(target), temporary)
        temporary.replace(target)
        return _old_path(target)
    files.link(temporary, target)
    return None


def _give_rights_of(old: Path, new: Path) -> None:
    """Let those read the new file who read the old one: a service, of a file that root replaces for it."""
    rights = old.stat()
    if os.geteuid() == 0:
        os.chown(new, rights.st_uid, rights.st_gid)
        new.chmod(rights.st_mode & 0o640)


# --- the next step ---------------------------------------------------------------------------------------------------


def _show_next_step(options: Options, wallet: ChosenWallet, chains: "list[Preset]", url: str | None) -> None:
    then = "" if url else ", and set [server] public_url"
    command = this_program()
    if options.config_path:
        command += f" --config {shlex.quote(str(options.config_path))}"
    if chains:
        click.echo(
            f"{', '.join(each.name for each in chains)}: enabled, with public nodes as a start. Enter nodes of "
            f"your own, compare the token addresses{then}."
        )
    elif wallet:
        click.echo(f"To take real money, uncomment a [[chains]] block in it{then}.")
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

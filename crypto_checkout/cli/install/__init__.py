"""`crypto-checkout install` and `uninstall`: a server that systemd keeps running, under a user of its own.

`plan` has the steps, `removal` those of the way back, `places` says where everything goes, `unit` writes the unit from
the package's own, and `service` asks systemd. A step that is done already is left out, so running it again repairs
what isn't as it should be, and running a newer program is the upgrade.
"""

import errno
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.install import beside, plan, removal, service, unit
from crypto_checkout.cli.install.places import CONFIG, DATA, ENVIRONMENT, FOLDER, UNIT, USER, Program, find_program
from crypto_checkout.cli.support import new_file
from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import fail, load_config

if TYPE_CHECKING:
    from crypto_checkout.cli.install.plan import Step
    from crypto_checkout.config import Config

_yes = click.option("--yes", is_flag=True, help="Don't ask before.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only show the steps.")


@click.command(short_help="Install the server with systemd, or upgrade it (Linux, root).")
@click.option("--cold-address", metavar="ADDRESS", help="For a new checkout.toml: send all money to this address.")
@click.option("--xpub", metavar="XPUB", help="For a new checkout.toml: the wallet's extended public key.")
@click.option("--chain", "names", multiple=True, metavar="CHAIN", help="For a new checkout.toml: enable a chain.")
@click.option("--public-url", metavar="URL", help="For a new checkout.toml: the URL by which payers reach the server.")
@click.option("--show-unit", is_flag=True, help="Print the unit for systemd, and do nothing else.")
@_dry_run
@_yes
def install(
    *,
    cold_address: str | None,
    xpub: str | None,
    names: tuple[str, ...],
    public_url: str | None,
    show_unit: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Install the server with systemd, or upgrade it.

    Makes a user, a folder with a checkout.toml, and a unit that lets the server write to its data only; then starts
    it, now and whenever the machine starts. Shows each step before. Running it again repairs what isn't as it
    should be; with a newer program it is the upgrade. Your checkout.toml is never changed.
    """
    if show_unit:
        click.echo(unit.text(find_program()), nl=False)
        return
    _require_root(dry_run=dry_run)
    service.require_systemd()
    made = _new_text(cold_address, xpub, names, public_url)
    installation = _installation(find_program(), made)
    steps = plan.steps(installation)
    if not steps:
        click.echo("Nothing to do: everything is in place.")
    elif _agreed(steps, dry_run=dry_run, yes=yes):
        _do(steps)
    if not dry_run:
        _show_result(installation, was_started=bool(steps))


@click.command(short_help="Take the server and its unit off this machine; its data stays.")
@_dry_run
@_yes
def uninstall(*, dry_run: bool, yes: bool) -> None:
    """Stop the server, and take its unit and program off this machine.

    Its data, its checkout.toml and its user stay: `install` goes on with them.
    """
    _require_root(dry_run=dry_run)
    service.require_systemd()
    steps = removal.steps()
    if not steps:
        click.echo("Nothing to do: it isn't installed.")
    elif _agreed(steps, dry_run=dry_run, yes=yes):
        _do(steps)
    if FOLDER.exists() and not dry_run:
        click.echo(
            f"\n{FOLDER} stays, with all payments and the addresses given out, and so does the user {USER}. "
            "`install` goes on with them. To delete them for good, once nothing more can be paid to those addresses:\n"
            f"\n  sudo rm -r {FOLDER} && sudo userdel {USER}"
        )


def _require_root(*, dry_run: bool) -> None:
    if sys.platform != "linux":
        fail(
            "This installs a service of systemd, which Linux alone has. Here, `crypto-checkout serve` runs the server."
        )
    if os.geteuid() != 0 and not dry_run:
        fail("This changes the system, which only root may do: run it with sudo. --dry-run shows the steps before.")


def _agreed(steps: "Sequence[Step]", *, dry_run: bool, yes: bool) -> bool:
    """Show the steps; return True if they are to be done."""
    click.echo("Nothing is done. It would:" if dry_run else "This will:")
    for number, step in enumerate(steps, 1):
        click.echo(f"\n{number:>3}. {step.words}\n     {click.style(step.by_hand, dim=True)}")
    click.echo()
    if dry_run:
        return False
    if not yes and not sys.stdin.isatty():
        fail("Nothing was done: there is no terminal to ask on. Add --yes to go on without being asked.")
    if not yes and not click.confirm("Go on?", default=True):
        fail("Nothing was done.")
    return True


def _do(steps: "Sequence[Step]") -> None:
    for number, step in enumerate(steps, 1):
        try:
            step.do()
        except OSError as error:
            from crypto_checkout.store.faults import advice

            place = Path(str(error.filename or error.filename2 or FOLDER))
            fail(
                f"Step {number} failed: {place} can't be used: {error.strerror or error}. {advice(error, place)} "
                "What is done so far stays; running this again goes on from there."
            )
        click.echo(f"Step {number} of {len(steps)} is done.")


# --- before the steps ------------------------------------------------------------------------------------------------


def _new_text(cold_address: str | None, xpub: str | None, names: tuple[str, ...], public_url: str | None) -> str | None:
    """Return the text for a new checkout.toml; None where one is there."""
    is_there = CONFIG.exists()
    if is_there and (names or (cold_address, xpub, public_url) != (None, None, None)):
        raise click.UsageError(
            f"{CONFIG} is there already and is never changed: edit it, then run `sudo systemctl restart {USER}`. "
            "Leave out --cold-address, --xpub, --chain and --public-url."
        )
    if cold_address is not None and xpub is not None:
        raise click.UsageError("--cold-address already chooses the wallet; leave out --xpub")
    wallet = new_file.ChosenWallet(
        cold_address="" if cold_address is None else new_file.parse_cold_address(cold_address),
        xpub="" if xpub is None else new_file.parse_xpub(xpub),
    )
    chains = new_file.find_chains(names)
    new_file.require_wallet(wallet, chains)
    url = None if public_url is None else new_file.parse_public_url(public_url)
    if is_there:
        return None
    if wallet.cold_address:
        new_file.show_cold_address(wallet.cold_address)
    elif wallet.xpub:
        new_file.show_addresses(wallet.xpub)
    return new_file.text(wallet, chains, url)


def _installation(program: Program, made: str | None) -> plan.Installation:
    """Read the configuration, and refuse what wouldn't run with it before anything is changed."""
    _refuse_foreign_unit()
    if made is None:
        config = load_config(Options(CONFIG, _environment()), root_may=True)
        _refuse_newer_data(config, program)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, CONFIG.name)
            file.write_text(made, "utf-8")
            config = load_config(Options(file, {}))
        database = config.database.model_copy(update={"path": DATA / config.database.path.name})
        config = config.model_copy(update={"database": database})
    _refuse_taken_port(config)
    return plan.Installation(program, config, made)


def _environment() -> Mapping[str, str]:
    """Return the server's variables: those of its file, and those that its unit or a change of that sets."""
    text = ENVIRONMENT.read_text("utf-8") if ENVIRONMENT.exists() else ""
    return {**service.environment(), **beside.parse(text)}


def _refuse_foreign_unit() -> None:
    """Refuse to replace a unit that somebody wrote by hand: it leads to data elsewhere."""
    if not UNIT.exists():
        return
    text = UNIT.read_text("utf-8")
    if not text.startswith(unit.MARK):
        folder = next((line.partition("=")[2] for line in text.splitlines() if line.startswith("WorkingDirectory")), "")
        fail(
            f"{UNIT} was written by hand, and its server is {f'in {folder}' if folder else 'elsewhere'}. To go on with "
            f"that one's data: stop it (sudo systemctl stop {USER}), copy its checkout.toml and checkout-data to "
            f"{FOLDER}, remove that unit, and run this again."
        )


def _refuse_newer_data(config: "Config", program: Program) -> None:
    """Refuse to put an older program before the data of a newer one."""
    from crypto_checkout.app.urls import place
    from crypto_checkout.core.errors import DatabaseFailed, DatabaseTooNew, FatalError
    from crypto_checkout.store import migrate

    try:
        migrate.pending(place(config))
    except DatabaseTooNew as error:
        fail(
            f"{error} This program was not installed. To go back to it with the data of before the upgrade: stop the "
            f"server (sudo systemctl stop {USER}), restore the copy with this program as the server's user (sudo -u "
            f"{USER} {program.source or program.path} --config {CONFIG} restore FILE), and run this again. The copies "
            f"are {config.database.path}.before-…"
        )
    except (FatalError, DatabaseFailed) as error:
        fail(f"{error} Nothing was changed.")


def _refuse_taken_port(config: "Config") -> None:
    """Refuse to start beside another program on the same port, such as a server that was started by hand."""
    if service.state().is_active:
        return
    host, port = config.server.host, config.server.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
            trial.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                fail(
                    f"Another program listens on {host}:{port}, a server that you started by hand for example. Stop it "
                    f"(`sudo ss -ltnp` names it), or choose another [server] port in {CONFIG}, which "
                    f"`sudo crypto-checkout --config {CONFIG} init` writes."
                )


# --- after the steps -------------------------------------------------------------------------------------------------


def _show_result(installation: plan.Installation, *, was_started: bool) -> None:
    config, program = installation.config, installation.program.path
    url = service.wait_until_it_answers(config)
    if was_started:
        click.echo("\n".join(("", *service.message(), "")))
    click.echo(f"The server runs, and starts with the machine: {url}")
    for problem in service.unready_parts(url):
        click.echo(f"  not ready yet: {problem}")
    command = f"sudo -u {USER} {USER if shutil.which(USER) == str(program) else program}"
    for name, place in (
        ("settings", f"{CONFIG} (then: sudo systemctl restart {USER})"),
        ("variables", str(ENVIRONMENT)),
        ("data", str(config.database.path.parent)),
        ("backups", str(config.backup_folder) if config.backup.every_hours else "none: [backup] every_hours is 0"),
        ("log", f"sudo {service.LOG}"),
        ("commands", f"{command} doctor"),
    ):
        click.echo(f"  {name:<10}{place}")
    if config.server.public_url.startswith("https:"):
        click.echo(f"Next: put a reverse proxy with a certificate in front of it, see {url}/docs/proxies")
    else:
        click.echo(f"Next: {url}/docs/go-live leads to real money: wallet, chains, TLS.")

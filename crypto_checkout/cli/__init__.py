"""The operator's commands: a module for each command or group, under its own name.

A command reads options, calls one service and prints; `support` has what commands share. Decisions, SQL and wiring
belong elsewhere: `app.server` opens the server, and `app.offline` wires services for all other commands. Nothing heavy
is imported before a command runs, so that `--help` is fast.

To add a command, write a module here, take `json_option`, put tables for people and JSON for programs on the standard
output, end with a sentence through `support.setup.fail`, and list the command below. Its docstring is its help.
"""

import os
from pathlib import Path
from typing import Any

import click

from crypto_checkout import __version__

# The modules, not the commands in them: those have the same names and would hide them.
from crypto_checkout.cli import (
    admin,
    alerts,
    backups,
    chains,
    collect,
    database,
    demo,
    doctor,
    explain,
    init,
    install,
    keys,
    leader,
    links,
    listen,
    mail,
    migrate,
    openapi,
    reconcile,
    restore,
    serve,
    sessions,
    trigger,
    verify_receipt,
    version,
    webhooks,
)
from crypto_checkout.cli.install import beside
from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import fail, permission_advice


class _Program(click.Group):
    """The commands; where a file is closed to the user who runs one, it ends with a sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except PermissionError as error:
            path = Path(error.filename or ".").absolute()
            fail(f"{path} can't be used: {error.strerror}. {permission_advice(path)}")


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),  # one that can't be read is answered with what to do
    metavar="FILE",
    help="The configuration file. Default: $CHECKOUT_CONFIG, ./checkout.toml, or that of `install`.",
)
@click.version_option(__version__, prog_name="crypto-checkout")
@click.pass_context
def main(context: click.Context, config_path: Path | None) -> None:
    """Accept payments in ETH and tokens on your own server.

    Start with `crypto-checkout serve`: without a configuration it runs in test mode, on this machine only.
    """
    config_path = beside.find_config(config_path, os.environ, context.invoked_subcommand)
    context.obj = Options(config_path, beside.variables(config_path, os.environ))


for command in (
    init.init,
    serve.serve,
    demo.demo,
    keys.keys,
    links.links,
    sessions.sessions,
    webhooks.webhooks,
    alerts.alerts,
    mail.mail,
    listen.listen,
    trigger.trigger,
    explain.explain,
    reconcile.reconcile,
    collect.collect,
    chains.chains,
    collect.collect,
    doctor.doctor,
    leader.leader,
    backups.backup,
    backups.backups,
    backups.worker,
    restore.restore,
    migrate.migrate,
    database.database,
    install.install,
    install.uninstall,
    admin.admin,
    openapi.openapi,
    version.version,
    verify_receipt.verify_receipt,
):
    main.add_command(command)

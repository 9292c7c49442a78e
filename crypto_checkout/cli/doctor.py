"""`crypto-checkout doctor`: check everything that an operator can get wrong, and give advice."""

import asyncio
import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import (
    has_database,
    permission_advice,
    print_json,
    refuse_root,
    shown_place,
    storage_failure,
)
from crypto_checkout.core.sizes import size

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.core.diagnosis.checks import Check
    from crypto_checkout.store.database import Database

_FEW_BYTES = 10**9
_OLD_BACKUP = timedelta(days=7)
_OTHERS, _GROUP = 0o007, 0o070


@click.command(short_help="Check the whole setup, and say what to do.")
@json_option
@click.pass_obj
def doctor(options: Options, *, as_json: bool) -> None:
    """Check everything that can be wrong with a server, and say what to do.

    The server can keep running. Nothing is changed. The exit code is 1 if a check fails.
    """
    from crypto_checkout.core.diagnosis.checks import Severity

    found = _checks(options)
    if as_json:
        print_json(
            {
                "object": "diagnosis",
                "checks": [
                    {"name": each.name, "mark": each.mark.value, "what": each.what, "advice": each.advice}
                    for each in found
                ],
            }
        )
    else:
        click.echo("\n".join(_lines(found)))
    if any(each.mark is Severity.FAIL for each in found):
        sys.exit(1)


def _checks(options: Options) -> "list[Check]":
    from crypto_checkout import log
    from crypto_checkout.config import ConfigInvalid, find_file, load
    from crypto_checkout.core.diagnosis.checks import fail, ok

    log.silence()
    file = find_file(options.config_path, options.environ)
    refuse_root(file)
    try:
        config = load(file, options.environ)
    except ConfigInvalid as error:
        if file is not None and file.exists() and not os.access(file, os.R_OK):
            return [fail("configuration", str(error), permission_advice(file))]
        return [fail("configuration", str(error), "Correct these lines; checkout.toml.example explains each key.")]
    where = "all defaults, only test mode" if config.path is None else str(config.path.absolute())
    here = [ok("configuration", where), *_check_folder(config), *_check_rights(config), *_check_proxies(config)]
    return [*here, *asyncio.run(_check_with_database(config))]


async def _check_with_database(config: "Config") -> "list[Check]":
    """Check the database, and everything else with or without it."""
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.urls import place
    from crypto_checkout.core.diagnosis.checks import Severity
    from crypto_checkout.store.database import Database

    found = _check_database(config)
    if any(each.mark is not Severity.OK for each in found if each.name == "database"):
        return [*found, *await _check_surroundings(config, None)]
    async with await Database.open(place(config), system_clock) as db:
        if moved := await _check_moved(db):
            found = [each for each in found if each.mark is Severity.OK]  # nobody is to start it, or to back it up
        return [*found, *moved, *_check_secret_key(config), *await _check_surroundings(config, db)]


async def _check_moved(db: "Database") -> "list[Check]":
    """Check that this database is the one in use, where it was copied from another, or to one."""
    from crypto_checkout.core.diagnosis.checks import fail
    from crypto_checkout.core.errors import FatalError
    from crypto_checkout.store.moving import mark

    try:
        await db.read(mark.refuse_left)
    except FatalError as error:
        return [fail("database", str(error), "")]
    return []


async def _check_surroundings(config: "Config", db: "Database | None") -> "list[Check]":
    from crypto_checkout.app import doctor, webhooks
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.urls import as_served
    from crypto_checkout.services.diagnosis import checks, replica
    from crypto_checkout.store import secret_key

    public_url = as_served(config).server.public_url
    names = {chain.id: chain.name for chain in config.chains}
    found = [*await doctor.event_loop(config), *await doctor.wallet(config, db), *checks.of_networks(names)]
    surroundings = await asyncio.gather(
        doctor.chains(config, db, system_clock),
        doctor.deposits(config),
        doctor.fuel(config),
        doctor.price_sources(config, system_clock),
        doctor.public_url(config, public_url, is_served=_server_process(config) is not None),
        replica.check(config.database.path.resolve(), system_clock),
    )
    found += [each for some in surroundings for each in some]
    if db is not None:
        found += await _check_upkeep(config, db)
        cipher = None if secret_key.is_missing(db.path.parent) else db.cipher
        found += await doctor.dashboard(config, public_url, db, cipher)
        if config.database.url and cipher is not None:
            found += await db.read(lambda unit: checks.of_shared_key(unit, cipher))
        reach = webhooks.reach(config)
        found += await db.read(lambda unit: [*checks.of_endpoints(unit, cipher, reach), *checks.of_usage(unit, names)])
    return found


async def _check_upkeep(config: "Config", db: "Database") -> "list[Check]":
    """Check how long the disk lasts, and whether there is a newer version, if the server looks for one."""
    from crypto_checkout import __version__
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.parts import backup_place
    from crypto_checkout.services.diagnosis import checks
    from crypto_checkout.services.upkeep import disk_watch
    from crypto_checkout.store.upkeep import newest_version

    found = []
    if not config.database.url:
        found.append(checks.of_disk(await disk_watch.report(db, backup_place(config), system_clock())))
    if config.updates.check_url:
        look = newest_version.read(db.path.absolute().parent, config.updates.check_url)
        found.append(checks.of_updates(__version__, look))
    return found


# --- what is on this machine -----------------------------------------------------------------------------------------


def _check_folder(config: "Config") -> "list[Check]":
    from crypto_checkout.core.diagnosis.checks import fail, ok, warn
    from crypto_checkout.core.upkeep.space import LEAST_FREE_BYTES

    folder = config.database.path.absolute().parent
    there = folder
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = f"Give user {os.getuid()} the right to write there, or name another [database] path."
        return [fail("data folder", f"{there} can't be written: {error.strerror}", advice)]
    free = shutil.disk_usage(there).free
    space = f"{size(free)} free"
    if free < LEAST_FREE_BYTES:
        return [fail("data folder", f"{there}: {space}", "Free some space now: without it no payment can be recorded.")]
    if free < _FEW_BYTES:
        advice = "Free some space before the disk is full: payments couldn't be recorded."
        return [warn("data folder", f"{there}: {space}", advice)]
    return [ok("data folder", f"{there}, {space}")]


def _check_rights(config: "Config") -> "list[Check]":
    """Check that nobody else reads the folder: it holds secrets of webhooks, and who paid what."""
    from crypto_checkout.core.diagnosis.checks import fail, ok, warn

    name, folder = "data folder permissions", config.database.path.absolute().parent
    if not folder.exists():
        return []
    rights = folder.stat().st_mode & 0o777
    advice = f"Restrict it to the server's user: chmod 700 {folder}"
    if rights & _OTHERS:
        return [fail(name, f"every user of this machine can read {folder} ({rights:o})", advice)]
    if rights & _GROUP:
        return [warn(name, f"its group can read {folder} ({rights:o})", advice)]
    return [ok(name, f"nobody else can read it ({rights:o})")]


def _check_secret_key(config: "Config") -> "list[Check]":
    """Check that the key of the stored secrets is there, and that nobody else reads it."""
    from crypto_checkout.core.diagnosis.checks import fail, ok, warn
    from crypto_checkout.core.errors import FatalError
    from crypto_checkout.store import secret_key

    path = config.database.path.absolute()
    file = secret_key.path(path.parent)
    if not path.exists() and not config.database.url:
        return []
    try:
        secret_key.read(file)
    except FileNotFoundError:
        advice = "Put it back before you start the server; without it webhook secrets and the second factor are lost."
        return [warn(secret_key.NAME, f"{file} is missing", advice)]
    except (OSError, FatalError) as error:
        return [fail(secret_key.NAME, str(error), "")]
    rights = file.stat().st_mode & 0o777
    if rights & (_OTHERS | _GROUP):
        return [
            fail(secret_key.NAME, f"others can read {file} ({rights:o})", f"Restrict it to yourself: chmod 600 {file}")
        ]
    return [ok(secret_key.NAME, "there, and nobody else can read it; keep a copy apart from the backups")]


def _check_proxies(config: "Config") -> "list[Check]":
    from crypto_checkout.core.diagnosis.checks import ok, warn
    from crypto_checkout.store.data_folder import server_notes

    name, trusted = "trusted_proxies", config.server.trusted_proxies
    met = server_notes.untrusted_proxy(config.database.path.absolute().parent)
    if met is not None:
        what = f"{met} sends X-Forwarded-For and isn't trusted: all its visitors count as one, and share one rate limit"
        advice = f'If that is your proxy, add "{met}" to [server] trusted_proxies, and restart the server.'
        return [warn(name, what, advice)]
    if not trusted and config.server.public_url.startswith("https:"):
        what = "none, and public_url is https: behind the proxy with the certificate all visitors count as one"
        return [warn(name, what, 'Name the proxy under [server], for example: trusted_proxies = ["127.0.0.1"]')]
    return [ok(name, ", ".join(map(str, trusted)) or "none")]


def _check_database(config: "Config") -> "list[Check]":
    from crypto_checkout.core.diagnosis.checks import Severity, fail, ok, warn
    from crypto_checkout.core.errors import FatalError
    from crypto_checkout.store import migrate
    from crypto_checkout.store.data_folder import integrity

    if config.database.url:
        of_tables = _check_database_server(config)
        return [of_tables, _check_server(config), *([_check_leader(config)] if of_tables.mark is Severity.OK else [])]
    path = config.database.path
    if not path.exists():
        return [warn("database", f"there is none yet at {path.absolute()}", "Start the server: crypto-checkout serve")]
    restore = "Stop the server, and restore a backup: crypto-checkout restore latest"
    try:
        problem, lacking = integrity.integrity(path), migrate.pending(path)
    except (OSError, FatalError) as error:
        return [fail("database", f"{path.absolute()} can't be read: {error}", restore)]
    if problem is not None:
        return [fail("database", f"{path.absolute()} is damaged: {problem}", restore)]
    found = [ok("database", f"{path.absolute()}, {size(path.stat().st_size)}, sound")]
    if lacking:
        what = f"{len(lacking)} migrations are pending"
        found = [warn("database", what, "Stop the server, then: crypto-checkout migrate")]
    return [*found, _check_server(config), _check_backup(config)]


def _check_database_server(config: "Config") -> "Check":
    from crypto_checkout.app.urls import place
    from crypto_checkout.core.diagnosis.checks import fail, ok, warn
    from crypto_checkout.core.errors import DatabaseFailed, FatalError
    from crypto_checkout.store.place import DatabaseServer
    from crypto_checkout.store.postgresql import schema

    try:
        server = place(config)
        assert isinstance(server, DatabaseServer), "its URL is configured"
        lacking = schema.pending(server)
        if not lacking:
            schema.try_to_store(server)
    except FatalError as error:
        return fail("database", str(error), "")
    except DatabaseFailed as error:
        return fail("database", storage_failure(config, error), "")
    if not lacking:
        return ok("database", f"{shown_place(config)}, up to date")
    if has_database(config):
        what = f"{len(lacking)} migrations are pending"
        return warn("database", what, "Stop the server, then: crypto-checkout migrate")
    return warn(
        "database", f"there are no tables yet in {shown_place(config)}", "Start the server: crypto-checkout serve"
    )


def _check_leader(config: "Config") -> "Check":
    """Tell which of the processes of a server's database leads."""
    from crypto_checkout.app.urls import place
    from crypto_checkout.core.diagnosis.checks import fail, ok, warn
    from crypto_checkout.core.errors import DatabaseFailed
    from crypto_checkout.store.place import DatabaseServer
    from crypto_checkout.store.postgresql.election import processes

    server = place(config)
    assert isinstance(server, DatabaseServer), "its URL is configured"
    try:
        leader, serving = processes(server)
    except DatabaseFailed as error:
        return fail("leader", storage_failure(config, error), "")
    if leader is None:
        what = "no process leads: no payment is noticed" if serving else "no process serves this database"
        return warn("leader", what, "Start one: crypto-checkout serve" if not serving else "See the logs of serve.")
    return ok("leader", f"{leader.process}, of {len(serving)} that {'serves' if len(serving) == 1 else 'serve'}")


def _check_server(config: "Config") -> "Check":
    from crypto_checkout.core.diagnosis.checks import ok, warn

    process = _server_process(config)
    if process is None:
        return warn("server", "no server is running here", "Start it: crypto-checkout serve")
    return ok("server", f"running as process {process}" if process else "running")


def _server_process(config: "Config") -> str | None:
    """Return the id of the process that serves the data folder, None if there is none."""
    from crypto_checkout.core.errors import FolderInUse
    from crypto_checkout.store.data_folder.lock import FolderLock

    folder = config.database.path.resolve().parent
    if not folder.exists():
        return None
    try:
        with FolderLock(folder):
            return None
    except FolderInUse:
        return (folder / "lock").read_text("ascii").strip()
    except OSError:
        return None


def _check_backup(config: "Config") -> "Check":
    """Check the age of the newest backup, of the server's own and those that were made by hand."""
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.core.diagnosis.checks import ok, warn
    from crypto_checkout.core.diagnosis.explanation import span
    from crypto_checkout.store.backups import folder
    from crypto_checkout.store.data_folder import last_backup

    now, backup = system_clock(), config.backup
    try:
        own = [each for each in folder.listing(config.backup_folder) if each.is_verified and each.made_at <= now]
    except OSError as error:
        what = f"{config.backup_folder.absolute()} can't be read: {error.strerror}"
        return warn("backup", what, permission_advice(config.backup_folder))
    by_hand = last_backup.read(config.database.path.parent)
    known = [*([by_hand] if by_hand else []), *((each.made_at, str(each.path.absolute())) for each in own[:1])]
    if not known and backup.every_hours:
        advice = "The server makes the first one when it is an hour old. Make one now: crypto-checkout backup"
        return warn("backup", "none yet", advice)
    if not known:
        return warn("backup", "none found", "Create one, and keep it elsewhere: crypto-checkout backup FILE")
    at, file = max(known)
    age = now - at
    what = f"{span(age)} old, {file}{'' if Path(file).exists() else ' (no longer there)'}"
    if backup.every_hours and now - (own[0].made_at if own else at) > 2 * timedelta(hours=backup.every_hours):
        advice = f"One is due every {backup.every_hours} hours while the server runs: its log says why there is none."
        return warn("backup", what, f"{advice} Make one now: crypto-checkout backup")
    if age > _OLD_BACKUP:
        return warn("backup", what, "Create a new one: crypto-checkout backup FILE")
    return ok("backup", f"{what}{_where_backups_are(config) if own else ''}")


def _where_backups_are(config: "Config") -> str:
    folder, data = config.backup_folder, config.database.path.resolve().parent
    is_same = folder.stat().st_dev == data.stat().st_dev
    return "; it is on the disk of the database: copy it to another machine" if is_same else ""


# --- for people ------------------------------------------------------------------------------------------------------


def _lines(found: "Sequence[Check]") -> Iterator[str]:
    from crypto_checkout.core.diagnosis.checks import Severity

    for each in found:
        # A configuration's mistakes are a list; any other check is one line, whatever its source wrote.
        what, *more = each.what.split("\n") if each.name == "configuration" else [each.what]
        indent = " " * 6
        yield f"{each.mark.value:<4}  {tables.plain(each.name)}: {tables.plain(what)}"
        yield from (f"{indent}- {tables.plain(line.strip())}" for line in more)
        if each.advice:
            yield from textwrap.wrap(
                tables.plain(each.advice), tables.WIDTH, initial_indent=indent, subsequent_indent=indent
            )
    failing = sum(each.mark is Severity.FAIL for each in found)
    warning = sum(each.mark is Severity.WARN for each in found)
    yield f"{tables.count(len(found), 'check')}: {failing} fail, {warning} warn."

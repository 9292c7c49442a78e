"""The place of a database: the path of a file of SQLite, or a `DatabaseServer`."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from crypto_checkout.core.errors import FatalError

_SHOWN = frozenset({"host", "port"})

FILE = "checkout.db"
"""The name of a database's file, unless it is named otherwise."""


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A database of a PostgreSQL server, and the folder of what is kept beside it."""

    url: str
    folder: Path
    url_file: Path | None = None
    """The file that the URL was read from, if it was: new sessions take a new password from there."""

    def __str__(self) -> str:
        """Return the URL without its secrets."""
        return masked(self.url)

    def __repr__(self) -> str:
        return f"DatabaseServer({self}, {self.folder})"


def refuse_without_driver(server: DatabaseServer) -> None:
    """Raise FatalError if what speaks to a server isn't installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise FatalError(
            f"{server} needs a package that is not installed: pip install 'crypto-checkout[postgresql]' ({error})."
        ) from error


def path_of(place: Path | DatabaseServer) -> Path:
    """Return the path of a file; for a server's database the one in its data folder that it would have as a file."""
    return place if isinstance(place, Path) else place.folder / FILE


def masked(url: str) -> str:
    """Return a URL without its password; of its query, which may hold one too, only the host and the port."""
    parts = urlsplit(url)
    account, at, host = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    query = urlencode([each for each in parse_qsl(parts.query) if each[0] in _SHOWN], safe="/")
    return urlunsplit(parts._replace(netloc=f"{user}{':***' if colon else ''}{at}{host}", query=query, fragment=""))

"""The server's URLs: where it listens, the public URL in links, and where its database is.

They are the same for `serve` and every other command.
"""

from pathlib import Path

from crypto_checkout.config import Config
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.data_folder import server_notes
from crypto_checkout.store.moving import mark
from crypto_checkout.store.place import DatabaseServer, refuse_without_driver


def listening_url(config: Config, port: int) -> str:
    """Return the URL at which a browser on this machine reaches a server listening on a port."""
    host = config.server.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def known_url(config: Config) -> str:
    """Return the URL recorded by the running server; without one, the URL that the configuration implies."""
    return server_notes.url(config.database.path.parent) or listening_url(config, config.server.port)


def reachable(config: Config, url: str) -> Config:
    """Return the configuration with links that lead to the listening server, unless it sets a public URL."""
    # The file that `init` writes contains every default, so the default doesn't count as set.
    if config.server.public_url != Config().server.public_url:
        return config
    return config.model_copy(update={"server": config.server.model_copy(update={"public_url": url})})


def as_served(config: Config) -> Config:
    """Return the configuration with the public URL that the running server writes into links and events."""
    return reachable(config, known_url(config))


def place(config: Config) -> Path | DatabaseServer:
    """Return the file of the configured database, or the server that has it.

    Raises FatalError if there is a file beside the server: of two databases one is the shop's, and which one isn't
    for this program to guess. One that was moved elsewhere may lie there.
    """
    path, url = config.database.path, config.database.url
    if not url:
        return path
    server = DatabaseServer(url, path.resolve().parent, config.database.url_file)
    if path.exists() and not mark.is_left(path):
        raise FatalError(
            f"There are two databases: [database] url names {server}, and {path.absolute()} is there too. If the file "
            "is no longer used, move it out of this folder; to use it, remove url."
        )
    refuse_without_driver(server)
    return server


def shown(config: Config) -> str:
    """Return the place of the configured database as people are told it, without secrets."""
    found = DatabaseServer(config.database.url, Path()) if config.database.url else config.database.path.absolute()
    return str(found)

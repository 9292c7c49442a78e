"""The server's URLs: where it listens, and the public URL in links. The same for `serve` and every other command."""

from crypto_checkout.config import Config
from crypto_checkout.store.data_folder import server_url


def listening_url(config: Config, port: int) -> str:
    """Return the URL at which a browser on this machine reaches a server listening on a port."""
    host = config.server.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def known_url(config: Config) -> str:
    """Return the URL recorded by the running server; without one, the URL that the configuration implies."""
    return server_url.read(config.database.path.parent) or listening_url(config, config.server.port)


def reachable(config: Config, url: str) -> Config:
    """Return the configuration with links that lead to the listening server, unless it sets a public URL."""
    # The file that `init` writes contains every default, so the default doesn't count as set.
    if config.server.public_url != Config().server.public_url:
        return config
    return config.model_copy(update={"server": config.server.model_copy(update={"public_url": url})})


def as_served(config: Config) -> Config:
    """Return the configuration with the public URL that the running server writes into links and events."""
    return reachable(config, known_url(config))

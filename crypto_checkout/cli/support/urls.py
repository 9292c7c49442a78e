"""Where the server listens and what it calls itself: the same for `serve` as for the commands beside it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crypto_checkout.config import Config


def listening_url(config: "Config", port: int) -> str:
    """Return how a person on this machine reaches a server that listens on a port."""
    host = config.server.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def known_url(config: "Config") -> str:
    """Return where the running server listens: as it noted itself, else as the configuration says."""
    from crypto_checkout.store.data_folder import server_url

    return server_url.url(config.database.path.parent) or listening_url(config, config.server.port)


def reachable(config: "Config", url: str) -> "Config":
    """Have links lead to where the server listens, as long as nobody said what its public URL is."""
    from crypto_checkout.config import Config

    # The file that `init` writes has every default in it: that is nobody's word either.
    if config.server.public_url != Config().server.public_url:
        return config
    return config.model_copy(update={"server": config.server.model_copy(update={"public_url": url})})


def public_url(config: "Config") -> str:
    """Return the public URL that the running server writes into links and events."""
    return reachable(config, known_url(config)).server.public_url

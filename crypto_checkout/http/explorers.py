"""Links to a chain's block explorer, whose URL is configured; an empty one makes no links."""

from urllib.parse import quote


def transaction_url(explorer_url: str, tx_hash: str | None) -> str | None:
    """Return a transaction's URL on an explorer (EIP-3091)."""
    return _url(explorer_url, "tx", tx_hash)


def address_url(explorer_url: str, address: str | None) -> str | None:
    """Return an address's URL on an explorer (EIP-3091)."""
    return _url(explorer_url, "address", address)


def _url(explorer_url: str, kind: str, name: str | None) -> str | None:
    if name is None or not explorer_url.lower().startswith(("https://", "http://")):
        return None
    return f"{explorer_url.rstrip('/')}/{kind}/{quote(name, safe='')}"

"""The guard of every form against writes from other sites. A pure decision over headers."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit


def is_cross_site(headers: Mapping[str, str], hosts: Collection[str] = ()) -> bool:
    """Tell whether a write was sent by another site's page, as Go's CrossOriginProtection does.

    Browsers send `Sec-Fetch-Site`; older ones, and all over plain HTTP, send `Origin` only. A request with neither
    isn't from a browser, and abuses no cookies or network access. `hosts` are this site's names besides the `Host`
    header, which a proxy may have rewritten.
    """
    site = headers.get("sec-fetch-site")
    if site:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return bool(origin) and _host(origin or "") not in {headers.get("host", "").lower(), *hosts}


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None

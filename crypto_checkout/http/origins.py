"""Which site a write comes from: the guard of every form. A pure decision over headers."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit


def is_cross_site(headers: Mapping[str, str], hosts: Collection[str] = ()) -> bool:
    """Tell whether another site's page sent this write, as Go's CrossOriginProtection does.

    Browsers say so in `Sec-Fetch-Site`; older ones, and all on plain http, only in `Origin`. With neither it was no
    browser, and nobody's cookies or network are abused. `hosts` are names of this site beside the one in `Host`,
    which a proxy may have written.
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

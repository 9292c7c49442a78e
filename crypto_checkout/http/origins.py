"""The guard of every form against writes from other sites. A pure decision over headers."""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_cross_site(headers: Mapping[str, str], public_url: str) -> bool:
    """Tell whether a write was sent by another site's page, as Go's CrossOriginProtection does.

    Browsers send `Sec-Fetch-Site`; older ones, and all over plain HTTP, send `Origin` only. A request with neither
    isn't from a browser, and abuses no cookies or network access. This site has two names: the host of `public_url`,
    and the `Host` header, which a proxy may have rewritten.
    """
    site = headers.get("sec-fetch-site")
    if site:
        return site not in {"same-origin", "none"}
    text = headers.get("origin")
    if not text:
        return False
    origin = _split(text)
    if origin is None:
        return True
    own = (urlsplit(public_url), _split(f"{origin.scheme}://{headers.get('host', '')}"))
    return _place(origin) not in {_place(each) for each in own if each is not None}


def is_plain_http(headers: Mapping[str, str], public_url: str) -> bool:
    """Tell whether a browser uses http where `public_url` is https, so that it will keep none of our cookies.

    Browsers that send `Sec-Fetch-Site` do so exactly where they keep them: over https, and to their own machine (as
    through `ssh -L`). Of the others a form says it in its `Origin`, and a proxy in `X-Forwarded-Proto`.
    """
    if not public_url.startswith("https:") or "sec-fetch-site" in headers:
        return False
    origin = _split(headers.get("origin", ""))
    if origin is not None:
        return origin.scheme == "http"
    return headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "http"


def _split(url: str) -> SplitResult | None:
    """Split an origin; None unless it has a host, as `null` and what is malformed haven't."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_whole else None


def _place(url: SplitResult) -> tuple[str | None, int | None]:
    """Return the host and the port, None for the scheme's own."""
    return url.hostname, None if url.port == _DEFAULT_PORTS.get(url.scheme) else url.port

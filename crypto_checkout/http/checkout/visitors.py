"""Tell payers from preview bots and prefetching browsers, and find the language of a request."""

import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.requests import Request

from crypto_checkout.http.checkout.translations import Translations, negotiate

LANGUAGE = "lang"
"""The query parameter that chooses a language, and the cookie that keeps the choice."""

_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")

# User-Agents of messengers, networks and search engines that fetch links. Any bot, crawler or spider matches by that
# word alone; CUBOT is a phone maker. In-app browsers (Instagram, Pinterest/iOS, FBAN) have a person behind them.
_BOTS = re.compile(
    r"(?<!cu)bot\b|crawler|spider|facebookexternalhit|facebot|meta-external|whatsapp\b|slackbot|slack-imgproxy|telegrambot"
    r"|skypeuripreview|microsoftpreview|snap url preview|google-inspectiontool|google-pagerenderer|googleother"
    r"|mediapartners-google|apis-google|bingpreview|yahoo! slurp|vkshare|embedly|iframely|cardyb|mastodon|synapse"
    r"|nextcloud server|mattermost|rocket\.chat|zoom\.us|line-poker|kakaotalk-scrap|ia_archiver|headlinebot|bitlybot"
    r"|^viber\b|^signal\b|google-safety|google-read-aloud|feedfetcher"
    # Scanners of mail services, which open every link before the reader does.
    r"|ms-office|msoffice|safelinks|barracuda|mimecast|proofpoint|urldefense|messagelabs|symantec|trend ?micro|fireeye"
    r"|zscaler|sophos|forcepoint|ironport|mailscanner|cloudmark|bitdefender|fortiguard|avanan|virustotal|urlscan"
    r"|googleimageproxy|yahoomailproxy",
    re.IGNORECASE,
)

# Browsers that send Fetch Metadata over https: Chromium since 76, Firefox since 90, Safari since 16.4. What has their
# name without it is a program that hides what it is, as most scanners of mail services do.
_BROWSER = re.compile(r"(?P<name>Chrome|Firefox|Version)/(?P<number>\d{2,4})\b")
_WITH_METADATA = {"Chrome": 80, "Firefox": 91, "Version": 17}

# Scanners run it; so do shops' own tests, but hardly over https.
_HEADLESS = "HeadlessChrome"

_FRAMES = frozenset({"iframe", "frame", "embed", "object", "fencedframe"})


def translations_for(request: Request) -> Translations:
    """Return the messages in the language of a request."""
    asked, kept = request.query_params.get(LANGUAGE), request.cookies.get(LANGUAGE)
    return negotiate(asked, kept, request.headers.get("accept-language", ""))


def is_preview(method: str, headers: Mapping[str, str], *, is_https: bool) -> bool:
    """Tell whether a request only previews a link, and must not create a session.

    `is_https` tells whether browsers reach the server by https. The page shown to previews has a button, for people
    whose browser looks like a bot.
    """
    return (
        method == "HEAD"
        or is_prefetch(headers)
        or not is_navigation(headers)
        or is_bot(headers.get("user-agent", ""))
        or (is_https and is_disguised(headers))
    )


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser loads a page before its user opens it."""
    return any("prefetch" in value or "preview" in value for value in _values(headers, _PREFETCH_HEADERS))


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Tell whether a page is opened, rather than fetched as part of another one (Fetch Metadata)."""
    return headers.get("sec-fetch-mode", "navigate") == "navigate"


def is_bot(user_agent: str) -> bool:
    """Tell whether a User-Agent belongs to a preview bot or a crawler."""
    return _BOTS.search(user_agent) is not None


def is_disguised(headers: Mapping[str, str]) -> bool:
    """Tell whether a request over https has the name of a browser without being one that a person uses."""
    found = _BROWSER.search(headers.get("user-agent", ""))
    is_recent = found is not None and int(found["number"]) >= _WITH_METADATA[found["name"]]
    is_headless = _HEADLESS in headers.get("user-agent", "")
    return is_headless or (is_recent and "sec-fetch-mode" not in headers)


def is_foreign_frame(headers: Mapping[str, str], allowed: Collection[str]) -> bool:
    """Tell whether a page is opened in a frame of another site that isn't among the allowed ones (their origins).

    An allowed site that hides itself (`Referrer-Policy: no-referrer`) is taken for a foreign one.
    """
    if headers.get("sec-fetch-dest") not in _FRAMES or headers.get("sec-fetch-site") == "same-origin":
        return False
    try:
        site = urlsplit(headers.get("referer", ""))
    except ValueError:
        return True
    return f"{site.scheme}://{site.netloc}".lower() not in allowed


def _values(headers: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    return [headers[name].lower() for name in names if name in headers]

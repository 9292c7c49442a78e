"""Tell payers from preview bots and prefetching browsers, and find the language of a request."""

import re
from collections.abc import Mapping

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
    r"|^viber\b|^signal\b|google-safety|google-read-aloud|feedfetcher",
    re.IGNORECASE,
)


def translations_for(request: Request) -> Translations:
    """Return the messages in the language of a request."""
    asked, kept = request.query_params.get(LANGUAGE), request.cookies.get(LANGUAGE)
    return negotiate(asked, kept, request.headers.get("accept-language", ""))


def is_preview(method: str, headers: Mapping[str, str], *, insists: bool = False) -> bool:
    """Tell whether a request only previews a link, and must not create a session.

    `insists` is set by the button of the page shown to previews, for people whose browser looks like a bot.
    """
    return (
        method == "HEAD"
        or is_prefetch(headers)
        or not is_navigation(headers)
        or (not insists and is_bot(headers.get("user-agent", "")))
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


def _values(headers: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    return [headers[name].lower() for name in names if name in headers]

"""Who is asking, and in which language: a person, a preview bot, a browser's prefetch."""

import re
from collections.abc import Mapping

from starlette.requests import Request

from crypto_checkout.http.checkout.translations import Translations, chosen

LANGUAGE = "lang"
"""The parameter that chooses a language, and the cookie that keeps the choice."""

_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")

# The names under which messengers, networks and search engines look at a link. Those that call themselves a bot, a
# crawler or a spider need no name here; CUBOT is a maker of phones. In-app browsers (Instagram, Pinterest/iOS, FBAN)
# are people.
_BOTS = re.compile(
    r"(?<!cu)bot\b|crawler|spider|facebookexternalhit|facebot|meta-external|whatsapp\b|slackbot|slack-imgproxy|telegrambot"
    r"|skypeuripreview|microsoftpreview|snap url preview|google-inspectiontool|google-pagerenderer|googleother"
    r"|mediapartners-google|apis-google|bingpreview|yahoo! slurp|vkshare|embedly|iframely|cardyb|mastodon|synapse"
    r"|nextcloud server|mattermost|rocket\.chat|zoom\.us|line-poker|kakaotalk-scrap|ia_archiver|headlinebot|bitlybot"
    r"|^viber\b|^signal\b|google-safety|google-read-aloud|feedfetcher",
    re.IGNORECASE,
)


def words_of(request: Request) -> Translations:
    """Return the language that a request wants its answer in."""
    asked, kept = request.query_params.get(LANGUAGE), request.cookies.get(LANGUAGE)
    return chosen(asked, kept, request.headers.get("accept-language", ""))


def only_looks(method: str, headers: Mapping[str, str], *, insists: bool = False) -> bool:
    """Tell whether a request for a link wants to see where it leads, not to pay.

    One that `insists` chose to go on, on the page that was shown instead: a person whose browser looks like a bot.
    """
    return (
        method == "HEAD"
        or is_prefetch(headers)
        or not is_navigation(headers)
        or (not insists and is_bot(headers.get("user-agent", "")))
    )


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser loads a page that nobody has asked for yet."""
    return any("prefetch" in value or "preview" in value for value in _values(headers, _PREFETCH_HEADERS))


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Tell whether a page is opened, not an image or the like that another page names (Fetch Metadata)."""
    return headers.get("sec-fetch-mode", "navigate") == "navigate"


def is_bot(user_agent: str) -> bool:
    """Tell whether a User-Agent belongs to a program that makes previews or an index."""
    return _BOTS.search(user_agent) is not None


def _values(headers: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    return [headers[name].lower() for name in names if name in headers]

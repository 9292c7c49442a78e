"""Templates into answers, for payers and in their languages, with the headers that every page carries."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import jinja2
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.responses import HTMLResponse

from crypto_checkout.http import templating
from crypto_checkout.http.checkout.translations import LANGUAGES, Translations

_NO_FRAMES = "frame-ancestors 'none'"
_NO_QUERY: Mapping[str, str] = MappingProxyType({})


def headers(allow_embedding_from: Sequence[str] = ()) -> dict[str, str]:
    """Return what every page carries; only the sites named here may show one in a frame."""
    policy = templating.HEADERS["Content-Security-Policy"]
    if allow_embedding_from:
        policy = policy.replace(_NO_FRAMES, f"frame-ancestors {' '.join(allow_embedding_from)}")
    return {**templating.HEADERS, "Content-Security-Policy": policy}


class CheckoutRenderer:
    """What pages are printed on: templates, with the shop's name and logo on each of them."""

    def __init__(self, *, shop_name: str, has_logo: bool, allow_embedding_from: Sequence[str] = ()) -> None:
        self._headers = headers(allow_embedding_from)
        self._templates = templating.environment()
        self._templates.filters |= {"money": _money, "moment": _moment}
        self._templates.globals |= {
            "shop_name": shop_name,
            "has_logo": has_logo,
            "languages": LANGUAGES,
            "href": _href,
        }

    def page(
        self,
        template: str,
        words: Translations,
        *,
        path: str,
        query: Mapping[str, str] = _NO_QUERY,
        status: int = 200,
        **content: object,
    ) -> HTMLResponse:
        """Print a page; `path` and `query` are where it can be asked for again, in another language for example."""
        text = self._templates.get_template(f"checkout/{template}").render(content, t=words, path=path, query=query)
        return HTMLResponse(text, status_code=status, headers=self._headers)


def _href(path: str, query: Mapping[str, str], **changes: str) -> str:
    """Return a path with its query, in which some values are others."""
    return f"{path}?{urlencode({**query, **changes})}"


@jinja2.pass_context
def _money(context: Context, amount: Mapping[str, Any]) -> Markup:
    """Write an amount with its unit; see `Translations.money`."""
    return Markup("<bdi>{}</bdi>").format(context["t"].money(amount))


@jinja2.pass_context
def _moment(context: Context, text: str) -> str:
    """Write a moment; see `Translations.moment`."""
    written: str = context["t"].moment(text)
    return written

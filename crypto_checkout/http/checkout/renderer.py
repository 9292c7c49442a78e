"""Render the payer's templates into responses, in the payer's language."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import jinja2
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from crypto_checkout.http import assets, templating
from crypto_checkout.http.checkout.branding.shop import Branding
from crypto_checkout.http.checkout.translations import LANGUAGES, Translations

UNSCRIPTED = Markup((assets.FOLDER / "unscripted.js").read_text("utf-8"))  # noqa: S704 - our own file
"""The script that reloads a page whose script was blocked; in the page itself, where no filter or proxy loses it."""

_OWN_SCRIPTS = "script-src 'self'"
_NO_FRAMES = "frame-ancestors 'none'"
_ABOUT = re.compile(r"/(?:checkout/(?=cs_))?((?:cs_|l/)[0-9A-Za-z_-]{1,64})(?:/|$)")
"""The part of a page's path that names it to the shop: a session's id, or a link."""
_NO_QUERY: Mapping[str, str] = MappingProxyType({})


def headers(allow_embedding_from: Sequence[str] = ()) -> dict[str, str]:
    """Return the headers of every page; only the sites named may show one in a frame."""
    digest = b64encode(sha256(UNSCRIPTED.encode()).digest()).decode()
    policy = templating.HEADERS["Content-Security-Policy"].replace(_OWN_SCRIPTS, f"{_OWN_SCRIPTS} 'sha256-{digest}'")
    if allow_embedding_from:
        policy = policy.replace(_NO_FRAMES, f"frame-ancestors {' '.join(allow_embedding_from)}")
    return {**templating.HEADERS, "Content-Security-Policy": policy}


class CheckoutRenderer:
    """Renders pages with the shop's looks and contacts; previews of them name the picture by `public_url`."""

    def __init__(self, *, branding: Branding, public_url: str, allow_embedding_from: Sequence[str] = ()) -> None:
        self._branding = branding
        self._headers = headers(allow_embedding_from)
        # With no-referrer, browsers send `Origin: null` with the page's own form, and over plain HTTP nothing else
        # distinguishes it from another site's (Fetch, "append a request Origin header").
        self._form_headers = {**self._headers, "Referrer-Policy": "same-origin"}
        self._templates = templating.environment()
        self._templates.filters |= {"money": _money, "moment": _moment}
        self._templates.globals |= {
            "shop_name": branding.name,
            "colors_url": branding.stylesheet_url,
            "branding": branding,
            "public_url": public_url,
            "languages": LANGUAGES,
            "href": _href,
            "unscripted": UNSCRIPTED,
            "language_links": self._language_links,
        }
        self._kept_links = lru_cache(maxsize=512)(self._written_links)

    def render(
        self,
        template: str,
        words: Translations,
        *,
        path: str,
        query: Mapping[str, str] = _NO_QUERY,
        status: int = 200,
        has_form: bool = False,
        **context: object,
    ) -> HTMLResponse:
        """Render a page; `path` and `query` are its own URL, for the links to other languages.

        `has_form` marks a page whose form must be sent with its origin.
        """
        text = self._templates.get_template(f"checkout/{template}").render(
            context, t=words, path=path, query=query, mail_url=self._mail_url(words, path)
        )
        return HTMLResponse(text, status_code=status, headers=self._form_headers if has_form else self._headers)

    def _mail_url(self, words: Translations, path: str) -> str:
        """Return the link that begins a mail to the shop about a page; empty without an address."""
        if not self._branding.support_email:
            return ""
        found = _ABOUT.match(path)
        return self._branding.mail_link(
            words.pattern("mail_subject").format(reference=found[1]) if found else self._branding.name
        )

    def _language_links(self, path: str, query: Mapping[str, str], current: str) -> Markup:
        """Return a page's links to itself in each language; those of another page differ by its path only."""
        links = self._kept_links(tuple(query.items()), current).replace('href="', f'href="{escape(path)}')
        return Markup(links)  # noqa: S704 - a template's, and an escaped path

    def _written_links(self, query: tuple[tuple[str, str], ...], current: str) -> str:
        template = self._templates.get_template("checkout/languages.html")
        return template.render(query=dict(query), current=current)


def _href(path: str, query: Mapping[str, str], **changes: str) -> str:
    """Return a path with its query, some of its values changed."""
    return f"{path}?{_encoded(tuple({**query, **changes}.items()))}"


_encoded = lru_cache(maxsize=1024)(urlencode)


@jinja2.pass_context
def _money(context: Context, amount: Mapping[str, Any]) -> Markup:
    """Format an amount with its unit; see `Translations.money`."""
    return Markup("<bdi>{}</bdi>").format(context["t"].money(amount))


@jinja2.pass_context
def _moment(context: Context, text: str) -> str:
    """Format a moment; see `Translations.moment`."""
    written: str = context["t"].moment(text)
    return written

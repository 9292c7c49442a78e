"""The texts of the payer's pages, and the formats of numbers and dates (CLDR, by Babel), in the payer's language.

Catalogues are the files of `languages/`, each read at its first use. The language is the one chosen on the page, else
the one chosen before, else the one that the browser prefers. Numbers and dates are those of the browser's region, where
it names one of that language (`de-CH`, `es-419`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from crypto_checkout.core import moments

LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "ar": "العربية",
    "de": "Deutsch",
    "es": "Español",
    "fa": "فارسی",
    "fr": "Français",
    "he": "עברית",
    "it": "Italiano",
    "ja": "日本語",
    "ko": "한국어",
    "nl": "Nederlands",
    "pl": "Polski",
    "pt": "Português",
    "ru": "Русский",
    "tr": "Türkçe",
    "uk": "Українська",
    "zh": "简体中文",
}
"""The languages by code, each with its own name for itself; the first is the fallback."""

FOLDER = Path(__file__).parent / "languages"

_FALLBACK = "en"
_LONGEST_HEADER = 400
_OLD_CODES = {"iw": "he"}
_TAGS = {"zh": "zh-Hans"}
_TRADITIONAL_CHINESE = {"tw", "hk", "mo"}
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"
_COLONS = {"fr": "\u00a0: ", "ja": "\uff1a", "zh": "\uff1a"}

Message = str | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Translations:
    """The messages of one language. Calling it with a key returns HTML that isolates each value's writing direction.

    `formats` is the region of the payer, for numbers and dates; `locale` is the language's own.
    """

    code: str
    locale: Locale
    messages: Mapping[str, Message]
    formats: Locale

    def __call__(self, key: str, **values: object) -> Markup:
        """Return a message as HTML; `count` selects the plural form."""
        message = _escaped(self._form(key, values))
        if not values:
            return message
        filled = {name: f"<bdi>{escape(value)}</bdi>" for name, value in values.items()}
        return Markup(str.format_map(message, filled))  # noqa: S704 - all of it is escaped

    def text(self, key: str, **values: object) -> str:
        """Return a message as plain text, for titles, attributes and the script."""
        values = {name: self.isolated(value) for name, value in values.items()}
        return self._form(key, values).format_map(values)

    def isolated(self, value: object) -> str:
        """Return a value as plain text that keeps its own direction between words from right to left."""
        return f"{_ISOLATE}{value}{_END_OF_ISOLATE}" if self.direction == "rtl" else str(value)

    @property
    def colon(self) -> str:
        """The colon between a label and its value, with the spaces around it."""
        return _COLONS.get(self.code, ": ")

    def pattern(self, key: str) -> str:
        """Return a message with its placeholders, for the script to fill in."""
        return self._form(key, {})

    @property
    def tag(self) -> str:
        """The language of the text, as HTML names it (BCP 47): that of the catalogue, whatever the browser's region."""
        return _TAGS.get(self.code, self.code)

    @property
    def formats_tag(self) -> str:
        """The region of the formats (BCP 47), for the script."""
        return str(self.formats).replace("_", "-")

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return str(self.locale.text_direction)

    def money(self, amount: Mapping[str, Any]) -> str:
        """Format an amount of the API, fiat or coin, with its unit.

        Fiat follows the language. Coin amounts don't, because payers type them into wallets.
        """
        if "currency" not in amount:
            return f"{amount['value']} {amount['asset']}"
        places = len(amount["amount"].partition(".")[2])
        grouping = self.formats.decimal_formats[None].pattern.partition(".")[0]
        pattern = grouping + ("." + "0" * places if places else "")
        number = format_decimal(Decimal(amount["amount"]), format=pattern, locale=self.formats)
        return f"{number} {amount['currency']}"

    def moment(self, text: str) -> str:
        """Format a moment of the API in UTC; the script turns it into the payer's own time."""
        at = moments.from_text(text)
        return f"{format_date(at, 'medium', locale=self.formats)}, {at:%H:%M} UTC"

    def _form(self, key: str, values: Mapping[str, object]) -> str:
        message = self.messages[key]
        if isinstance(message, str):
            return message
        return message[self.locale.plural_form(int(str(values["count"]).strip(_ISOLATE + _END_OF_ISOLATE)))]


_escaped = cache(escape)
"""Returns a message of the catalogues as HTML."""


@cache
def load(code: str) -> Translations:
    """Load a language of `LANGUAGES`."""
    messages: Mapping[str, Message] = tomllib.loads((FOLDER / f"{code}.toml").read_text("utf-8"))
    locale = Locale.parse(code)
    return Translations(code, locale, messages, locale)


def negotiate(asked: str | None, kept: str | None, accept_language: str) -> Translations:
    """Return the language chosen on the page, else the one kept in the cookie, else the browser's preference."""
    accepted = _accepted_tags(accept_language)
    code = next((code for code in (asked, kept, *map(_code, accepted)) if code in LANGUAGES), _FALLBACK)
    words = load(str(code))
    formats = next((_locale(tag) for tag in accepted if _code(tag) == code), None)
    return words if formats is None else replace(words, formats=formats)


def _accepted_tags(header: str) -> list[str]:
    """Parse an Accept-Language header (RFC 9110, section 12.5.4) into language tags, the preferred ones first."""
    weighted: list[tuple[float, str]] = []
    for part in header[:_LONGEST_HEADER].split(","):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.partition("=")[2]) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            weighted.append((-quality, tag.strip().lower()))
    return [tag for _, tag in sorted(weighted, key=lambda each: each[0])]


def _code(tag: str) -> str | None:
    """Return the code of a tag's language; None for Traditional Chinese, which isn't what our Chinese is written in."""
    code, *subtags = tag.split("-")
    is_traditional = "hant" in subtags or ("hans" not in subtags and not _TRADITIONAL_CHINESE.isdisjoint(subtags))
    return None if code == "zh" and is_traditional else _OLD_CODES.get(code, code)


@lru_cache(maxsize=512)
def _locale(tag: str) -> Locale | None:
    """Return the formats of a tag; None if CLDR has none."""
    try:
        return Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return None

"""What the pages say, in the payer's language: catalogues, and how numbers and dates are written (CLDR, by Babel).

A catalogue is a file of `languages/`, read when somebody first asks for its language. Which language that is: a choice
on the page, else a choice made before, else what the browser prefers.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
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
    "zh": "中文",
}
"""The languages there are, each with its own name for itself; the first is the one for everybody else."""

FOLDER = Path(__file__).parent / "languages"

_FALLBACK = "en"
_LONGEST_HEADER = 400
_OLD_CODES = {"iw": "he"}
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"

Message = str | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Translations:
    """One language. Called with a key it gives HTML, in which whatever is filled in keeps its own direction."""

    code: str
    locale: Locale
    messages: Mapping[str, Message]

    def __call__(self, key: str, **values: object) -> Markup:
        """Return a message as HTML; `count` chooses the plural form."""
        filled = {name: Markup("<bdi>{}</bdi>").format(value) for name, value in values.items()}
        return escape(self._form(key, values)).format_map(filled)

    def text(self, key: str, **values: object) -> str:
        """Return a message as plain text, for titles, attributes and the script."""
        if self.direction == "rtl":
            values = {name: f"{_ISOLATE}{value}{_END_OF_ISOLATE}" for name, value in values.items()}
        return self._form(key, values).format_map(values)

    def pattern(self, key: str) -> str:
        """Return a message as it stands, for the script to fill in."""
        return self._form(key, {})

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return str(self.locale.text_direction)

    def money(self, amount: Mapping[str, Any]) -> str:
        """Write an amount of the API, fiat or coin, with its unit.

        Fiat is written as the language does. A coin amount is not: it is typed into wallets as it stands.
        """
        if "currency" not in amount:
            return f"{amount['value']} {amount['asset']}"
        places = len(amount["amount"].partition(".")[2])
        pattern = "#,##0" + ("." + "0" * places if places else "")
        number = format_decimal(Decimal(amount["amount"]), format=pattern, locale=self.locale)
        return f"{number} {amount['currency']}"

    def moment(self, text: str) -> str:
        """Write a moment of the API in UTC, which the script turns into the payer's own time."""
        at = moments.from_text(text)
        return f"{format_date(at, 'medium', locale=self.locale)}, {at:%H:%M} UTC"

    def _form(self, key: str, values: Mapping[str, object]) -> str:
        message = self.messages[key]
        if isinstance(message, str):
            return message
        return message[self.locale.plural_form(int(str(values["count"]).strip(_ISOLATE + _END_OF_ISOLATE)))]


@cache
def of(code: str) -> Translations:
    """Return a language of `LANGUAGES`."""
    messages: Mapping[str, Message] = tomllib.loads((FOLDER / f"{code}.toml").read_text("utf-8"))
    return Translations(code, Locale.parse(code), messages)


def chosen(asked: str | None, kept: str | None, accept_language: str) -> Translations:
    """Return the language that was asked for on the page, was kept from before, or that the browser prefers."""
    for code in (asked, kept, *_preferred(accept_language)):
        if code in LANGUAGES:
            return of(code)
    return of(_FALLBACK)


def _preferred(header: str) -> list[str]:
    """Read an Accept-Language header (RFC 9110, section 12.5.4): language codes, the most wanted first."""
    wanted: list[tuple[float, str]] = []
    for part in header[:_LONGEST_HEADER].split(","):
        tag, _, weight = part.partition(";")
        code = tag.strip().lower().partition("-")[0]
        try:
            quality = float(weight.partition("=")[2]) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            wanted.append((-quality, _OLD_CODES.get(code, code)))
    return [code for _, code in sorted(wanted, key=lambda each: each[0])]

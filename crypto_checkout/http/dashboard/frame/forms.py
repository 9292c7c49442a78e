"""What was filled in: a form's fields, and what is wrong with each. Nothing is guessed, and nothing gets lost."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from crypto_checkout.core.errors import CheckoutError, UnsupportedContentType
from crypto_checkout.core.money import Fiat, parse_currency, parse_fiat

_URLENCODED = "application/x-www-form-urlencoded"
_MOST_FIELDS = 200
_LINE_BREAKS = frozenset("\t\n\r")
_CONTROL = frozenset(map(chr, (*range(32), *range(127, 160)))) - _LINE_BREAKS


@dataclass(slots=True)
class Form:
    """A form as it came, and the mistakes in it, by field; `mistake` is one that belongs to no field."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mistakes: dict[str, str] = field(default_factory=dict)
    mistake: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing wrong was found so far."""
        return not self.mistakes and not self.mistake

    def value(self, name: str, default: str = "") -> str:
        """Return a field as it came, for showing it again."""
        values = self.fields.get(name, ())
        return values[0] if values else default

    def values(self, name: str) -> Sequence[str]:
        """Return all values of a field: of the boxes that were ticked."""
        return self.fields.get(name, ())

    def has(self, name: str) -> bool:
        """Tell whether a field came at all: an unticked box doesn't."""
        return name in self.fields

    def text(self, name: str, most: int = 200, *, optional: bool = False, lines: bool = False) -> str:
        """Return a field as a text without spaces around it, noting a mistake where it is empty or too long.

        It is one line, unless `lines` takes more.
        """
        text = self.value(name).strip()
        if not text and not optional:
            self.mistakes[name] = "Fill this in."
        elif len(text) > most:
            self.mistakes[name] = f"At most {most} characters fit here; this has {len(text)}."
        elif not _CONTROL.isdisjoint(text):
            self.mistakes[name] = "This holds a control character; type it anew."
        elif not lines and not _LINE_BREAKS.isdisjoint(text):
            self.mistakes[name] = "Write this in one line."
        return text

    def one_of(self, name: str, choices: Collection[str]) -> str:
        """Return a field that is one of some texts, noting a mistake where it isn't."""
        text = self.value(name)
        if text not in choices:
            self.mistakes[name] = "Choose one of these."
        return text

    def some_of(self, name: str, choices: Collection[str]) -> list[str]:
        """Return the boxes that were ticked, noting a mistake where none was."""
        ticked = [value for value in self.values(name) if value in choices]
        if not ticked:
            self.mistakes[name] = "Tick at least one."
        return ticked

    def price(self, amount: str = "amount", currency: str = "currency") -> Fiat | None:
        """Return an amount with its currency, noting a mistake and returning None where it is none."""
        code, text = self.text(currency, 3).upper(), self.text(amount, 40)
        if currency in self.mistakes or amount in self.mistakes:
            return None
        wrong = currency
        try:
            parse_currency(code)
            wrong = amount
            return parse_fiat(text, code)
        except ValueError as error:
            self.mistakes[wrong] = sentence(str(error))
            return None

    def forget(self, name: str) -> None:
        """Drop what came in a field, so that it isn't shown again."""
        self.fields = {each: values for each, values in self.fields.items() if each != name}

    def note(self, error: CheckoutError, fields: Mapping[str, str] | None = None) -> None:
        """Note what a service refused; `fields` are the form's names of the API's `param`s."""
        name = (fields or {}).get(error.param or "", error.param or "")
        if name in self.fields:
            self.mistakes[name] = sentence(error.message.removeprefix(f"{error.param}: "))
        else:
            self.mistake = error.message


def sentence(words: str) -> str:
    """Write what an error says as a sentence."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def parse(raw: bytes, content_type: str) -> Form:
    """Read a form; no body is one without fields. Raises UnsupportedContentType for what no form of ours sends."""
    if raw and content_type.partition(";")[0].strip().lower() != _URLENCODED:
        raise UnsupportedContentType(f"A form is sent as {_URLENCODED}.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise UnsupportedContentType("This form can't be read: it is no UTF-8, or too long.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(fields)

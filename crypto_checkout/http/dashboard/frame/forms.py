"""Submitted forms: their fields, and the errors of each. Invalid input is kept, to be shown again."""

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
    """A submitted form with its errors by field; `error` is one that belongs to no field."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def is_valid(self) -> bool:
        """True if no error was found so far."""
        return not self.errors and not self.error

    def value(self, name: str, default: str = "") -> str:
        """Return a field as submitted, to show it again."""
        values = self.fields.get(name, ())
        return values[0] if values else default

    def values(self, name: str) -> Sequence[str]:
        """Return all values of a field, such as ticked boxes."""
        return self.fields.get(name, ())

    def has(self, name: str) -> bool:
        """Tell whether a field was submitted; an unticked box isn't."""
        return name in self.fields

    def text(self, name: str, most: int = 200, *, optional: bool = False, lines: bool = False) -> str:
        """Return a field as stripped text, adding an error if it is empty (unless `optional`) or too long.

        It must be a single line, unless `lines` is set.
        """
        text = self.value(name).strip()
        if not text and not optional:
            self.errors[name] = "This field is required."
        elif len(text) > most:
            self.errors[name] = f"Use at most {most} characters; this has {len(text)}."
        elif not _CONTROL.isdisjoint(text):
            self.errors[name] = "This contains a control character. Please type it again."
        elif not lines and not _LINE_BREAKS.isdisjoint(text):
            self.errors[name] = "This must be a single line."
        return text

    def one_of(self, name: str, choices: Collection[str]) -> str:
        """Return a field, adding an error if it is none of the choices."""
        text = self.value(name)
        if text not in choices:
            self.errors[name] = "Choose one of the options."
        return text

    def some_of(self, name: str, choices: Collection[str]) -> list[str]:
        """Return the ticked boxes, adding an error if there are none."""
        ticked = [value for value in self.values(name) if value in choices]
        if not ticked:
            self.errors[name] = "Select at least one."
        return ticked

    def price(self, amount: str = "amount", currency: str = "currency") -> Fiat | None:
        """Return an amount with its currency, or None with an error."""
        code, text = self.text(currency, 3).upper(), self.text(amount, 40)
        if currency in self.errors or amount in self.errors:
            return None
        checked = currency
        try:
            parse_currency(code)
            checked = amount
            return parse_fiat(text, code)
        except ValueError as error:
            self.errors[checked] = sentence(str(error))
            return None

    def forget(self, name: str) -> None:
        """Drop a field, so that it isn't shown again."""
        self.fields = {each: values for each, values in self.fields.items() if each != name}

    def add_error(self, error: CheckoutError, fields: Mapping[str, str] | None = None) -> None:
        """Add an error raised by a service; `fields` maps the API's `param` to the form's field."""
        name = (fields or {}).get(error.param or "", error.param or "")
        if name in self.fields:
            self.errors[name] = sentence(error.message.removeprefix(f"{error.param}: "))
        else:
            self.error = error.message


def sentence(text: str) -> str:
    """Format an error's message as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def parse(raw: bytes, content_type: str) -> Form:
    """Parse a form; an empty body has no fields. Raises UnsupportedContentType for any other encoding."""
    if raw and content_type.partition(";")[0].strip().lower() != _URLENCODED:
        raise UnsupportedContentType(f"Forms must be sent as {_URLENCODED}.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise UnsupportedContentType("This form can't be read: it isn't UTF-8, or it is too long.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(fields)

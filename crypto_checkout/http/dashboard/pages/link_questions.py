"""The part of a link's form that says what payers are asked: usual fields, and up to five of the shop's own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crypto_checkout.core.checkout.questions import (
    LONGEST_LABEL,
    LONGEST_OPTION,
    MOST_CUSTOM_FIELDS,
    MOST_OPTIONS,
    Asked,
    CustomField,
    FieldKind,
    PayerFields,
)
from crypto_checkout.core.metadata import LONGEST_KEY, LONGEST_VALUE
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.http.dashboard.frame.forms import Form

_MOST_OPTION_CHARACTERS = MOST_OPTIONS * (LONGEST_OPTION + 1)
_NO_LETTER = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class QuestionBlock:
    """One of the shop's own fields in the form: the values that its controls have before anything is submitted.

    `name` is what the names of its controls begin with. An empty one is offered for a new field.
    """

    name: str
    label: str = ""
    key: str = ""
    kind: str = FieldKind.TEXT.value
    required: str = Asked.OPTIONAL.value
    options: str = ""
    max_length: str = ""


def usual(link: LinkResource | None) -> Mapping[str, str]:
    """Return whether a link asks for email, name and note."""
    fields = link["payerFields"] if link else None
    if fields is None:
        return dict.fromkeys(("email", "name", "note"), Asked.NO.value)
    return {"email": fields["email"], "name": fields["name"], "note": fields["note"]}


def blocks(link: LinkResource | None) -> list[QuestionBlock]:
    """Return the blocks of the form: those of a link's own fields, then empty ones up to the most there may be."""
    found = [
        QuestionBlock(
            _name(place),
            each["label"],
            each["key"],
            each["type"],
            (Asked.REQUIRED if each["required"] else Asked.OPTIONAL).value,
            "\n".join(each["options"] or ()),
            "" if each["maxLength"] in {None, LONGEST_VALUE} else str(each["maxLength"]),
        )
        for place, each in enumerate((link["customFields"] or ()) if link else (), start=1)
    ]
    return [*found, *(QuestionBlock(_name(place)) for place in range(len(found) + 1, MOST_CUSTOM_FIELDS + 1))]


def read_usual(form: Form) -> PayerFields | None:
    """Return the usual fields of a submitted form, None if none is asked for."""
    email, name, note = (_asked(form, f"ask_{field}") for field in ("email", "name", "note"))
    fields = PayerFields(email, name, note)
    return None if fields == PayerFields() else fields


def read_own(form: Form) -> tuple[CustomField, ...] | None:
    """Return the shop's own fields of a submitted form, None if there are none; mistakes become errors of the form."""
    fields: list[CustomField] = []
    for place in range(1, MOST_CUSTOM_FIELDS + 1):
        name = _name(place)
        if any(form.value(f"{name}_{part}").strip() for part in ("label", "key", "options", "length")):
            fields.append(_read_block(form, name, {each.key for each in fields}))
    return tuple(fields) or None


def _read_block(form: Form, name: str, keys: set[str]) -> CustomField:
    label = form.text(f"{name}_label", LONGEST_LABEL)
    key = form.text(f"{name}_key", LONGEST_KEY, optional=True) or _key_of(label)
    if key in keys:
        form.errors[f"{name}_key"] = f"“{key}” is the key of another question."
    kind = FieldKind.CHOICE if form.value(f"{name}_type") == FieldKind.CHOICE else FieldKind.TEXT
    return CustomField(
        key,
        label,
        kind,
        _asked(form, f"{name}_required") is Asked.REQUIRED,
        _options(form, f"{name}_options", kind),
        _length(form, f"{name}_length", kind),
    )


def _options(form: Form, name: str, kind: FieldKind) -> tuple[str, ...]:
    text = form.text(name, _MOST_OPTION_CHARACTERS, optional=True, lines=True)
    options = list(filter(None, map(str.strip, text.split("\n"))))
    if kind is FieldKind.TEXT:
        if options:
            form.errors[name] = "Only a choice has options."
        return ()
    long = next((each for each in options if len(each) > LONGEST_OPTION), None)
    if not options:
        form.errors[name] = "Enter the options, one per line."
    elif len(options) > MOST_OPTIONS:
        form.errors[name] = f"Enter at most {MOST_OPTIONS} options; these are {len(options)}."
    elif long is not None:
        form.errors[name] = f"An option has at most {LONGEST_OPTION} characters, unlike “{long[:40]}…”."
    elif len(set(options)) < len(options):
        form.errors[name] = "Each option can be listed only once."
    return tuple(options)


def _length(form: Form, name: str, kind: FieldKind) -> int:
    text = form.text(name, optional=True)
    if not text:
        return LONGEST_VALUE
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_VALUE))
    if kind is FieldKind.CHOICE:
        form.errors[name] = "Only a line of text has a maximum length."
    elif not is_number or not 1 <= int(text) <= LONGEST_VALUE:
        form.errors[name] = f"Enter a number from 1 to {LONGEST_VALUE}."
    else:
        return int(text)
    return LONGEST_VALUE


def _asked(form: Form, name: str) -> Asked:
    text = form.value(name)
    return Asked(text) if text in list(Asked) else Asked.NO


def _key_of(label: str) -> str:
    """Return a key for metadata made of a label: `Your size` becomes `your_size`."""
    return _NO_LETTER.sub("_", label.lower()).strip("_")[:LONGEST_KEY].strip("_") or "answer"


def _name(place: int) -> str:
    return f"field{place}"

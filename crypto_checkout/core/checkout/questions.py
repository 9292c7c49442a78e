"""Questions to a payer, asked before an address is shown: email, name, note, and up to five of the merchant's own.

The merchant sets `PayerFields` and `CustomField`s; `questions` puts them in the order of the form, and `read_answers`
checks what a payer typed. Lengths are in characters.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from crypto_checkout.core import metadata
from crypto_checkout.core.checkout.customer import LONGEST_EMAIL, is_email

MOST_CUSTOM_FIELDS = 5
MOST_OPTIONS = 50
LONGEST_LABEL = 100
LONGEST_OPTION = 100
LONGEST_NAME = 200
LONGEST_NOTE = 500

_LINE_BREAKS = re.compile(r"\r\n?|[\u2028\u2029]")
_REORDERING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""Characters that show other text in another order (Unicode, UAX #9): left out, because they disguise text."""


class Asked(StrEnum):
    """The place of a field in the payer's form: none, or one to fill in if they like, or always."""

    NO = "no"
    OPTIONAL = "optional"
    REQUIRED = "required"


class FieldKind(StrEnum):
    """The kinds of a merchant's own fields."""

    TEXT = "text"
    CHOICE = "choice"


class QuestionKind(StrEnum):
    """The kinds of questions."""

    EMAIL = "email"
    NAME = "name"
    NOTE = "note"
    TEXT = "text"
    CHOICE = "choice"


class AnswerProblem(StrEnum):
    """The ways in which an answer can be wrong."""

    MISSING = "missing"
    NO_EMAIL = "no_email"
    TOO_LONG = "too_long"
    CONTROL_CHARACTER = "control_character"
    NO_OPTION = "no_option"


@dataclass(frozen=True, slots=True)
class PayerFields:
    """The places of the fields that every shop knows in the payer's form."""

    email: Asked = Asked.NO
    name: Asked = Asked.NO
    note: Asked = Asked.NO


@dataclass(frozen=True, slots=True)
class CustomField:
    """A field of the merchant's own; its answer becomes metadata under its `key`.

    A text has a `max_length`, a choice its `options`.
    """

    key: str
    label: str
    kind: FieldKind
    required: bool
    options: tuple[str, ...] = ()
    max_length: int = metadata.LONGEST_VALUE


@dataclass(frozen=True, slots=True)
class Question:
    """A field of the payer's form. `label` is empty for those that every shop knows."""

    name: str
    kind: QuestionKind
    is_required: bool
    max_length: int
    label: str = ""
    key: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """A payer's answers; what was left empty is None, or not among the custom ones, which go by their keys."""

    email: str | None = None
    name: str | None = None
    note: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class WrongAnswers:
    """The problems of a form, by the names of its questions."""

    problems: Mapping[str, AnswerProblem] = field(hash=False)


def open_fields(fields: PayerFields | None, *, has_email: bool, has_name: bool) -> PayerFields | None:
    """Return the fields to ask for where the merchant has given some already: those aren't asked again."""
    if fields is None:
        return None
    return replace(fields, email=Asked.NO if has_email else fields.email, name=Asked.NO if has_name else fields.name)


def objection(custom: Sequence[CustomField], notes: Mapping[str, str] | None) -> str | None:
    """Return the reason for which custom fields can't go with this metadata, None if they can."""
    keys = [each.key for each in custom]
    for key in keys:
        if notes and key in notes:
            return f'"{key}" is a key of metadata already; the answer would replace it'
    if len(keys) + len(notes or {}) > metadata.MOST_KEYS:
        return f"the answers are kept as metadata, which has at most {metadata.MOST_KEYS} keys in all"
    return None


def questions(fields: PayerFields | None, custom: Sequence[CustomField] | None) -> tuple[Question, ...]:
    """Return the questions of a form, in their order."""
    asked = fields or PayerFields()
    usual = (
        (QuestionKind.EMAIL, asked.email, LONGEST_EMAIL),
        (QuestionKind.NAME, asked.name, LONGEST_NAME),
        (QuestionKind.NOTE, asked.note, LONGEST_NOTE),
    )
    found = [
        Question(kind.value, kind, each is Asked.REQUIRED, longest)
        for kind, each, longest in usual
        if each is not Asked.NO
    ]
    own = [
        Question(
            f"field-{place}",
            QuestionKind(each.kind.value),
            each.required,
            each.max_length,
            label=each.label,
            key=each.key,
            options=each.options,
        )
        for place, each in enumerate(custom or (), start=1)
    ]
    # A note comes last: it is about all of it.
    notes = [each for each in found if each.kind is QuestionKind.NOTE]
    return (*(each for each in found if each.kind is not QuestionKind.NOTE), *own, *notes)


def read_answers(asked: Sequence[Question], typed: Mapping[str, str]) -> Answers | WrongAnswers:
    """Return the answers in a form, by the names of its questions, or its problems. Anything else is ignored."""
    texts = {each.name: _cleaned(typed.get(each.name, ""), each.kind) for each in asked}
    found = {each.name: _problem(each, texts[each.name]) for each in asked}
    problems = {name: problem for name, problem in found.items() if problem is not None}
    if problems:
        return WrongAnswers(problems)
    return Answers(
        email=texts.get(QuestionKind.EMAIL) or None,
        name=texts.get(QuestionKind.NAME) or None,
        note=texts.get(QuestionKind.NOTE) or None,
        custom={each.key: texts[each.name] for each in asked if each.key and texts[each.name]},
    )


def _cleaned(text: str, kind: QuestionKind) -> str:
    """Return a text without characters that reorder it, and without spaces around it; empty if nothing is visible."""
    # An email address with such characters is wrong, rather than another address.
    shown = text if kind is QuestionKind.EMAIL else _REORDERING.sub("", text)
    shown = _LINE_BREAKS.sub("\n", shown).strip()
    return shown if any(unicodedata.category(each)[0] not in "CZ" for each in shown) else ""


def _problem(question: Question, text: str) -> AnswerProblem | None:
    if not text:
        return AnswerProblem.MISSING if question.is_required else None
    if len(text) > question.max_length:
        return AnswerProblem.TOO_LONG
    match question.kind:
        case QuestionKind.EMAIL:
            return None if is_email(text) and not _REORDERING.search(text) else AnswerProblem.NO_EMAIL
        case QuestionKind.CHOICE:
            return None if text in question.options else AnswerProblem.NO_OPTION
        case QuestionKind.NOTE:
            allowed = "\n\t"
        case QuestionKind.NAME | QuestionKind.TEXT:
            allowed = ""
    is_plain = all(unicodedata.category(each) != "Cc" or each in allowed for each in text)
    return None if is_plain else AnswerProblem.CONTROL_CHARACTER

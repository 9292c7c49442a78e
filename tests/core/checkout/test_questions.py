"""Questions to a payer: their order, and which answers are taken."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.checkout.questions import (
    AnswerProblem,
    Answers,
    Asked,
    CustomField,
    FieldKind,
    PayerFields,
    WrongAnswers,
    objection,
    open_fields,
    questions,
    read_answers,
)

ALL = PayerFields(Asked.REQUIRED, Asked.OPTIONAL, Asked.OPTIONAL)
SIZE = CustomField("size", "Size", FieldKind.CHOICE, required=True, options=("S", "M"))
TEXT = CustomField("text", "Text", FieldKind.TEXT, required=False, max_length=10)
ASKED = questions(ALL, [SIZE, TEXT])


def test_a_message_comes_last_and_what_is_not_asked_is_left_out() -> None:
    assert [each.name for each in ASKED] == ["email", "name", "field-1", "field-2", "note"]
    assert questions(None, None) == questions(PayerFields(), ()) == ()
    assert [each.name for each in questions(PayerFields(note=Asked.OPTIONAL), [TEXT])] == ["field-1", "note"]


def test_what_the_merchant_gave_is_not_asked() -> None:
    assert open_fields(ALL, has_email=True, has_name=False) == PayerFields(name=Asked.OPTIONAL, note=Asked.OPTIONAL)
    assert open_fields(None, has_email=True, has_name=True) is None


def test_empty_optional_answers_are_absent() -> None:
    typed = {"email": " ada@example.com ", "name": "  ", "field-1": "S", "field-2": "", "note": "\n"}
    assert read_answers(ASKED, typed) == Answers("ada@example.com", None, None, {"size": "S"})


def test_each_problem_is_told_at_its_question() -> None:
    wrong = read_answers(ASKED, {"name": "x" * 201, "field-1": "L", "field-2": "a\x00", "note": "a\x1b"})
    assert wrong == WrongAnswers(
        {
            "email": AnswerProblem.MISSING,
            "name": AnswerProblem.TOO_LONG,
            "field-1": AnswerProblem.NO_OPTION,
            "field-2": AnswerProblem.CONTROL_CHARACTER,
            "note": AnswerProblem.CONTROL_CHARACTER,
        }
    )


def test_custom_fields_and_metadata_have_keys_of_their_own_and_fifty_in_all() -> None:
    assert objection([SIZE], {"order": "1"}) is None
    assert objection([SIZE], {"size": "S"}) is not None
    assert objection([SIZE], {str(number): "" for number in range(49)}) is None
    assert objection([SIZE], {str(number): "" for number in range(50)}) is not None


@given(st.dictionaries(st.sampled_from([each.name for each in ASKED]), st.text(max_size=300)))
def test_whatever_is_typed_an_answer_that_is_taken_is_visible_and_bounded(
    typed: dict[str, str],
) -> None:
    answers = read_answers(ASKED, {"email": "ada@example.com", "field-1": "M", **typed})
    if isinstance(answers, WrongAnswers):
        assert set(answers.problems) <= {each.name for each in ASKED}
        return
    kept = [answers.email, answers.name, *answers.custom.values(), answers.note]
    for text in (each for each in kept if each is not None):
        assert text == text.strip()
        assert len(text) <= 500
        assert any(unicodedata.category(each)[0] not in "CZ" for each in text)
        assert not any("\u202a" <= each <= "\u202e" or "\u2066" <= each <= "\u2069" for each in text)
    lines = [answers.name, answers.email, *answers.custom.values()]
    assert not any(unicodedata.category(each) == "Cc" for text in lines if text for each in text)
    assert answers.custom["size"] in SIZE.options


@given(st.dictionaries(st.sampled_from([each.name for each in ASKED]), st.text(max_size=30)))
def test_answers_that_were_taken_are_taken_again_as_they_are(typed: dict[str, str]) -> None:
    answers = read_answers(ASKED, {"email": "ada@example.com", "field-1": "M", **typed})
    if isinstance(answers, Answers):
        again = {"email": answers.email or "", "name": answers.name or "", "note": answers.note or ""}
        own = {"field-1": answers.custom["size"], "field-2": answers.custom.get("text", "")}
        assert read_answers(ASKED, {**again, **own}) == answers

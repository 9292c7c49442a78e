"""Passwords refused for being obvious, and passwords accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.owner.password import FEWEST_CHARACTERS, MOST_CHARACTERS, normalized, objection

NAMES = ("Ada's Bakery", "pay adasbakery example")


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "123456789012",
        "098765432109",
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "hunter2hunter2",
        "abcdefghijkl",
        "qwertyuiop12",
        "1q2w3e1q2w3e",
        "password1234",
        "P4ssw0rd!2026",
        "MyPassword123!",
        "iloveyou2026!!",
        "AdminAdmin2026",
        "letmeinletmein99",
        "cryptocheckout1",
        "correcthorsebatterystaple",
        "adasbakery2026",
        "Ada's Bakery 12",
        "B4kery-bakery",
        "x" * (MOST_CHARACTERS + 1),
    ],
)
def test_an_obvious_password_is_refused_with_a_sentence(password: str) -> None:
    said = objection(password, NAMES)
    assert said is not None
    assert said.endswith(".")
    assert password not in said


@pytest.mark.parametrize(
    "password",
    [
        "three quiet herons at dusk",
        "seven lamps over gdansk",
        "kT9#vLq2!mZx",
        "Grüße aus Åkersberga 7",
        "correct horse battery stapler moonlit",
        "bakery on the moon since tuesday",
        "密码不应该太简单了啊朋友们",
    ],
)
def test_a_password_of_ones_own_is_taken(password: str) -> None:
    assert objection(password, NAMES) is None


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
def test_any_text_gets_an_answer(text: str) -> None:
    said = objection(text, [text[:10], ""])
    if len(text) < FEWEST_CHARACTERS or len(text) > MOST_CHARACTERS:
        assert said is not None


def test_an_accent_is_the_same_however_the_keyboard_writes_it() -> None:
    assert normalized("cafe\u0301") == normalized("caf\u00e9")

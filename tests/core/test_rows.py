"""Tables with a row for each member."""

from enum import StrEnum

import pytest

from crypto_checkout.core.rows import one_row_each


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_rows_come_in_the_order_of_the_members_and_stay_as_they_are() -> None:
    rows = one_row_each("ROWS", Colour, {Colour.BLUE: 2, Colour.RED: 1})
    assert [*rows.items()] == [(Colour.RED, 1), (Colour.BLUE, 2)]
    with pytest.raises(TypeError):
        rows[Colour.RED] = 3  # type: ignore[index]


def test_a_missing_and_a_superfluous_row_are_named() -> None:
    with pytest.raises(ValueError, match=r"^ROWS has no row for red, blue\.$"):
        one_row_each("ROWS", Colour, {})
    with pytest.raises(ValueError, match=r"^ROWS has no row for blue and has a row for green, which doesn't exist\.$"):
        one_row_each("ROWS", ["red", "blue"], {"red": 1, "green": 2})

"""The Literals that stand for enums."""

from enum import StrEnum
from typing import Literal

import pytest

from crypto_checkout.core.public.names import check_same


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize("names", [Literal["red"], Literal["red", "blue", "green"], Literal["blue", "red"]])
def test_a_literal_that_differs_from_its_enum_is_refused_by_name(names: object) -> None:
    check_same(Literal["red", "blue"], Colour)
    with pytest.raises(ValueError, match="Colour"):
        check_same(names, Colour)

"""API keys: their shape, and that their randomness is all there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.owner import api_key

entropies = st.binary(min_size=api_key.ENTROPY_BYTES, max_size=api_key.ENTROPY_BYTES)


@given(st.booleans(), entropies)
def test_a_key_says_its_mode_and_has_32_characters(livemode: bool, entropy: bytes) -> None:
    made = api_key.make(livemode, entropy)
    assert made.startswith("ck_live_" if livemode else "ck_test_")
    assert len(made) == 8 + 32
    assert api_key.has_shape(made)
    assert len(made[: api_key.DISPLAYED_CHARACTERS]) == 14


def test_keys_of_different_randomness_differ() -> None:
    made = {api_key.make(True, number.to_bytes(api_key.ENTROPY_BYTES)) for number in range(10_000)}
    made |= {api_key.make(True, (number << 170).to_bytes(api_key.ENTROPY_BYTES)) for number in range(1, 10_000)}
    assert len(made) == 19_999


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_takes_32_random_bytes(length: int) -> None:
    with pytest.raises(ValueError, match=f"32 random bytes, got {length}"):
        api_key.make(True, bytes(length))


@pytest.mark.parametrize(
    "text",
    ["", "ck_live_", "ck_live_" + "a" * 31, "ck_live_" + "a" * 33, "ck_prod_" + "a" * 32, "CK_LIVE_" + "a" * 32,
     "ck_live_" + "a" * 31 + "_", "ck_live_" + "a" * 32 + "\n", " ck_live_" + "a" * 32, "ck_live_" + "\u0661" * 32],
)  # fmt: skip
def test_what_has_not_the_shape_is_no_key(text: str) -> None:
    assert not api_key.has_shape(text)

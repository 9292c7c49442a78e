"""Ids, read back by the ULID specification: https://github.com/ulid/spec."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core import ids

NOW = datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The specification's alphabet, written out here a second time on purpose.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PREFIXES = [ids.LINK, ids.SESSION, ids.ENDPOINT, ids.EVENT, ids.CUSTOMER, ids.REQUEST, ids.API_KEY]

moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC))  # noqa: DTZ001
entropies = st.binary(min_size=ids.ENTROPY_BYTES, max_size=ids.ENTROPY_BYTES)


def decoded(identifier: str) -> tuple[int, bytes]:
    """Return milliseconds and randomness: ten characters, then sixteen."""
    number = 0
    for character in identifier.partition("_")[2]:
        number = number * 32 + ALPHABET.index(character)
    return number >> 80, (number & (2**80 - 1)).to_bytes(10)


def test_an_id_of_the_specifications_example_comes_out() -> None:
    # 01ARZ3NDEKTSV4RRFFQ69G5FAV, the example of the specification, is this moment and this randomness.
    milliseconds, entropy = decoded("evt_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    at = EPOCH + timedelta(milliseconds=milliseconds)
    assert ids.make(ids.EVENT, at, entropy) == "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@given(st.sampled_from(PREFIXES), moments, entropies)
def test_an_id_holds_its_prefix_its_millisecond_and_its_randomness(prefix: str, at: datetime, entropy: bytes) -> None:
    made = ids.make(prefix, at, entropy)
    assert made.startswith(prefix + "_")
    assert len(made) == len(prefix) + 1 + 26
    assert ids.is_id(made, prefix)
    assert decoded(made) == ((at - EPOCH) // timedelta(milliseconds=1), entropy)


@given(moments, moments, entropies, entropies)
def test_ids_sort_by_time(one: datetime, other: datetime, entropy: bytes, more: bytes) -> None:
    first, second = sorted([one, other])
    if second - first >= timedelta(milliseconds=1):
        assert ids.make("cs", first, entropy) < ids.make("cs", second, more)


def test_every_millisecond_is_its_own() -> None:
    made = [decoded(ids.make("cs", NOW + timedelta(milliseconds=count), bytes(10)))[0] for count in range(10_000)]
    assert made == list(range(made[0], made[0] + 10_000))


def test_the_zone_of_a_moment_does_not_matter() -> None:
    elsewhere = NOW.astimezone(tz=datetime.strptime("+0530", "%z").tzinfo)
    assert ids.make("cs", elsewhere, bytes(10)) == ids.make("cs", NOW, bytes(10))


def test_a_moment_without_a_zone_or_before_1970_has_no_id() -> None:
    with pytest.raises(TypeError):
        ids.make("cs", NOW.replace(tzinfo=None), bytes(10))
    with pytest.raises(ValueError, match="before 1970"):
        ids.make("cs", EPOCH - timedelta(milliseconds=1), bytes(10))


@pytest.mark.parametrize("length", [0, 9, 11, 16])
def test_an_id_takes_ten_random_bytes(length: int) -> None:
    with pytest.raises(ValueError, match=f"10 random bytes, got {length}"):
        ids.make("cs", NOW, bytes(length))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cs_",
        "cs_01ARZ3NDEKTSV4RRFFQ69G5FA",  # too short
        "cs_01ARZ3NDEKTSV4RRFFQ69G5FAVV",  # too long
        "cs_81ARZ3NDEKTSV4RRFFQ69G5FAV",  # more than 128 bits
        "cs_01arz3ndektsv4rrffq69g5fav",  # lower case
        "cs_01ARZ3NDEKTSV4RRFFQ69G5FAI",  # a letter that the alphabet leaves out
        "cs_01ARZ3NDEKTSV4RRFFQ69G5FA\u0661",
        "cs_01ARZ3NDEKTSV4RRFFQ69G5FAV\n",
        " cs_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "CS_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "cs01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV",  # an id, of something else
        "cs_evt_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "cs_../../etc/passwd",
    ],
)
def test_what_has_not_the_shape_is_no_id(text: str) -> None:
    assert not ids.is_id(text, "cs")
    assert ids.is_id("cs_01ARZ3NDEKTSV4RRFFQ69G5FAV", "cs")

"""Three outcomes: go on, go back, ask again. Nothing is passed over, and nothing that does not link up is believed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.ledger.follow import Advance, Header, Refetch, Rollback, common_ancestor, follow

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def hash_of(number: int, branch: str = "a") -> str:
    return "0x" + f"{branch}{number}".rjust(64, "0")


def header(number: int, branch: str = "a", parent_branch: str | None = None) -> Header:
    parent = hash_of(number - 1, parent_branch or branch)
    return Header(number, hash_of(number, branch), parent, START + timedelta(seconds=number))


def headers(first: int, last: int, branch: str = "a") -> list[Header]:
    return [header(number, branch) for number in range(first, last + 1)]


def after_ten(fetched: Sequence[Header]) -> Advance | Rollback | Refetch:
    return follow(10, hash_of(10), fetched)


def test_headers_that_follow_the_last_block_are_an_advance() -> None:
    assert after_ten(headers(11, 11)) == Advance((header(11),))
    assert after_ten(headers(11, 30)) == Advance(tuple(headers(11, 30)))


def test_a_first_header_with_another_parent_is_a_rollback() -> None:
    assert after_ten(headers(11, 15, "b")) == Rollback(above=10)


def test_a_reorg_between_two_answers_is_a_refetch_and_not_a_rollback() -> None:
    assert after_ten([header(11), header(12), header(13, "b")]) == Refetch(
        "block 13 does not follow the block fetched before it"
    )


def test_no_header_is_a_refetch() -> None:
    assert after_ten([]) == Refetch("no header came")


@pytest.mark.parametrize("number", [9, 10, 12, 0, -1])
def test_another_height_than_asked_for_is_a_refetch(number: int) -> None:
    assert after_ten([header(number)]) == Refetch(f"asked for block 11, got {number}")


def test_a_gap_is_a_refetch() -> None:
    assert after_ten([header(11), header(13)]) == Refetch("asked for block 12, got 13")


def test_the_same_header_twice_is_a_refetch() -> None:
    assert after_ten([header(11), header(11)]) == Refetch("asked for block 12, got 11")


def test_headers_newest_first_are_a_refetch() -> None:
    assert isinstance(after_ten(headers(11, 13)[::-1]), Refetch)


def test_a_height_that_is_wrong_is_noticed_before_its_parent_is() -> None:
    assert isinstance(after_ten([header(12, "b")]), Refetch)


@given(
    st.integers(0, 10**9), st.integers(1, 20), st.integers(0, 19), st.sampled_from(["number", "hash", "parent_hash"])
)
def test_one_wrong_header_in_a_range_never_advances(first: int, count: int, place: int, wrong: str) -> None:
    fetched = headers(first + 1, first + count)
    assert follow(first, hash_of(first), fetched) == Advance(tuple(fetched))
    if place >= count or (wrong == "hash" and place == count - 1):
        return  # whether the newest hash is right only its child can tell
    forged = header(fetched[place].number + 100, "b")
    fetched[place] = replace(fetched[place], **{wrong: getattr(forged, wrong)})
    assert not isinstance(follow(first, hash_of(first), fetched), Advance)


def test_the_common_ancestor_is_the_newest_block_of_both() -> None:
    kept = {number: hash_of(number) for number in range(5, 11)}
    canonical = {number: hash_of(number, "a" if number <= 7 else "b") for number in range(6, 12)}
    assert common_ancestor(kept, canonical) == 7


def test_what_has_only_changed_above_the_kept_blocks_has_its_ancestor_at_their_top() -> None:
    kept = {number: hash_of(number) for number in range(5, 11)}
    assert common_ancestor(kept, {11: hash_of(11, "b"), 10: hash_of(10)}) == 10


def test_chains_that_share_no_block_have_no_common_ancestor() -> None:
    kept = {number: hash_of(number) for number in range(5, 11)}
    assert common_ancestor(kept, {number: hash_of(number, "b") for number in range(5, 11)}) is None
    assert common_ancestor(kept, {}) is None
    assert common_ancestor({}, {5: hash_of(5)}) is None
    assert common_ancestor(kept, {4: hash_of(4)}) is None

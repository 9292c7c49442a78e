"""Resources as they are rendered."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.ledger.payment import Payment, ShownPayments, TransferKind
from crypto_checkout.core.public import render
from tests.support.factories import COIN, a_session, a_transfer

TENTH = COIN // 10


@pytest.mark.parametrize(
    ("kind", "units", "dust", "is_dust"),
    [
        (TransferKind.NATIVE, TENTH - 1, 1, True),
        (TransferKind.NATIVE, COIN, 1000, True),
        (TransferKind.TOKEN, TENTH - 1, 1, True),
        (TransferKind.TOKEN, COIN, None, False),
        (TransferKind.TOKEN, TENTH, None, False),
        (TransferKind.INTERNAL, 1, None, False),
    ],
)
def test_a_token_payment_without_a_log_is_no_dust(
    kind: TransferKind, units: int, dust: int | None, is_dust: bool
) -> None:
    payment = Payment(a_transfer(tx_hash=None, kind=kind, units=units), dust=dust)
    session = render.session(a_session(), ShownPayments((payment,)), None, "http://localhost")
    assert render.is_dust(session, session["payments"][0]) is is_dust


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(st.dictionaries(TEXT, VALUE, max_size=6))
def test_json_is_written_as_the_standard_library_does(resource: dict[str, Any]) -> None:
    expected = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
    assert render.json_text(resource) == expected
    assert render.json_bytes(resource) == expected.encode()


def test_what_is_kept_of_an_answer_takes_little_more_memory_than_its_length() -> None:
    resource = {"data": "x" * 1_500}
    tracemalloc.start()
    try:
        kept = [render.json_bytes(resource) for _ in range(100)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1.2 * sum(map(len, kept))

"""A session is rendered once for each of its states."""

import json
from dataclasses import replace
from datetime import timedelta

from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.payment import ShownPayments
from crypto_checkout.services.checkout.rendered import SessionRenderer
from tests.support.factories import NOW, a_payment, a_session

TIP = Tip(10, NOW)
NEXT = Tip(11, NOW + timedelta(seconds=12))


def shown(count: int) -> ShownPayments:
    payments = tuple(a_payment(tx_hash=f"0x{number:064x}") for number in range(count))
    return ShownPayments(payments, tx_hash=payments[0].transfer.tx_hash, newest_block=10)


def test_the_same_state_is_rendered_once() -> None:
    renderer = SessionRenderer("https://shop.example")
    first = renderer.render(a_session(), shown(1), TIP)
    assert renderer.render(a_session(), shown(1), TIP) is first
    assert first.body is first.body
    assert json.loads(first.body) == first.resource


def test_what_changes_a_session_shows() -> None:
    renderer = SessionRenderer("https://shop.example")
    session = a_session()
    assert renderer.render(session, ShownPayments(), None).resource["txHash"] is None
    assert renderer.render(session, shown(1), TIP).resource["confirmations"] == 1
    assert renderer.render(session, shown(1), NEXT).resource["confirmations"] == 2
    assert len(renderer.render(session, shown(2), NEXT).resource["payments"]) == 2
    later = replace(session, updated_at=NOW + timedelta(hours=1))
    assert renderer.render(later, shown(2), NEXT).resource["updatedAt"] == "2026-11-23T10:30:00.000Z"
    another = renderer.render(replace(session, id="cs_2"), shown(2), NEXT)
    assert another.resource["id"] == "cs_2"


def test_a_block_changes_nothing_where_nothing_was_paid() -> None:
    renderer = SessionRenderer("https://shop.example")
    first = renderer.render(a_session(), ShownPayments(), TIP)
    assert renderer.render(a_session(), ShownPayments(), NEXT) is first


def test_sessions_with_many_payments_take_no_memory() -> None:
    renderer = SessionRenderer("https://shop.example")
    first = renderer.render(a_session(), shown(9), TIP)
    again = renderer.render(a_session(), shown(9), TIP)
    assert again is not first
    assert again.body == first.body


def test_sessions_with_long_metadata_take_no_memory() -> None:
    renderer = SessionRenderer("https://shop.example")
    session = a_session()
    long = replace(session, options=replace(session.options, metadata={f"{key}": "x" * 500 for key in range(50)}))
    first = renderer.render(long, ShownPayments(), None)
    again = renderer.render(long, ShownPayments(), None)
    assert again is not first
    assert again.body == first.body

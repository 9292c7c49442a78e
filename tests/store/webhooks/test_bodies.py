"""Packed bodies of events: they come back to the byte, take a fraction of the room, and never pass for another."""

import hashlib
import tracemalloc
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core import ids
from crypto_checkout.core.errors import DatabaseDamaged
from crypto_checkout.core.public import examples, render
from crypto_checkout.core.webhooks.events import Event, EventType
from crypto_checkout.store.webhooks import bodies

PUBLIC_URL = "https://bookshop.example.org"
MOMENT = datetime(2027, 6, 5, 4, 3, 2, 1000, tzinfo=UTC)
LEAST_GAIN, LEAST_GAIN_OF_SESSIONS = 2, 4
PUBLISHED = {1: "4fad1b753352108f826dd2f99ac9479919408b70e78f9df67f274add26a9c3f5"}
"""The dictionaries that databases may hold bodies of. A published one never changes."""

RESOURCES = {
    "session": examples.shown_paid_session,
    "payment_link": examples.shown_link,
    "webhook_endpoint": examples.shown_endpoint,
    "customer": examples.shown_customer,
    "refund": examples.shown_paid_refund,
    "collection": examples.shown_collection,
    "api_key": examples.shown_key,
}


def body_of(event_type: EventType) -> str:
    """Return the body of an event with ids, an address and a transaction that no dictionary has."""
    event_id = ids.make(ids.EVENT, MOMENT, hashlib.sha256(event_type.encode()).digest()[: ids.ENTROPY_BYTES])
    event = Event(event_id, False, event_type, MOMENT, RESOURCES[event_type.resource](PUBLIC_URL))
    text = render.json_text(render.event(event))
    for known in (
        "5c" * 32,
        "a7" * 32,
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "fB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    ):
        text = text.replace(known, hashlib.sha256(known.encode()).hexdigest()[: len(known)])
    return text


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert bodies.unpack(bodies.pack(text)) == text


@pytest.mark.parametrize("event_type", EventType)
def test_each_type_of_event_takes_a_fraction_of_its_room(event_type: EventType) -> None:
    """Once this fails for the shapes of a later version, a new dictionary is due: see `store.webhooks.bodies`."""
    body = body_of(event_type)
    packed = bodies.pack(body)
    assert bodies.unpack(packed) == body
    least = LEAST_GAIN_OF_SESSIONS if event_type.resource == "session" else LEAST_GAIN
    assert len(body) > least * len(packed)


def test_any_zlib_unpacks_a_body_with_the_dictionary_that_it_names() -> None:
    body = body_of(EventType.SESSION_PAID)
    unpacker = zlib.decompressobj(zdict=bodies.dictionary(bodies.DICTIONARIES[-1]))
    assert (unpacker.decompress(bodies.pack(body)) + unpacker.flush()).decode() == body


def test_no_published_dictionary_has_changed_and_none_is_missing() -> None:
    found = {number: hashlib.sha256(bodies.dictionary(number)).hexdigest() for number in bodies.DICTIONARIES}
    assert found == PUBLISHED


def test_dictionaries_are_short_enough_to_be_in_reach_and_differ_by_their_checksums() -> None:
    texts = [bodies.dictionary(number) for number in bodies.DICTIONARIES]
    assert all(len(text) < 32 * 1024 for text in texts)
    assert len({zlib.adler32(text) for text in texts}) == len(texts)


def test_a_damaged_body_is_damage_and_no_other_body() -> None:
    packed = bodies.pack(body_of(EventType.SESSION_PAID))
    for place in range(len(packed)):
        with pytest.raises(DatabaseDamaged):
            bodies.unpack(packed[:place])
        with pytest.raises(DatabaseDamaged):
            bodies.unpack(packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :])
    with pytest.raises(DatabaseDamaged):
        bodies.unpack(packed + b"more")


def test_a_body_that_unfolds_to_far_more_than_any_event_is_damage() -> None:
    packer = zlib.compressobj(9, zdict=bodies.dictionary(bodies.DICTIONARIES[-1]))
    bomb = packer.compress(bytes(200 * 1024 * 1024)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(DatabaseDamaged):
            bodies.unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 100 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_body_that_names_an_unknown_dictionary_is_damage() -> None:
    packer = zlib.compressobj(zdict=b"of a version to come")
    with pytest.raises(DatabaseDamaged, match="names no dictionary"):
        bodies.unpack(packer.compress(b"{}") + packer.flush())

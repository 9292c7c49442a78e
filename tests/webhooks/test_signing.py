"""Signatures, read back by Standard Webhooks' own library and by the contract's words in plain hmac."""

import base64
import hashlib
import hmac
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from crypto_checkout.webhooks import signing

BODY = '{"id":"evt_1","data":{"title":"Straße ☕"}}'.encode()
NOW = 1_790_000_000
OLD = signing.new_secret(b"o" * 32)
NEW = signing.new_secret(b"n" * 32)


def signed(*secrets: str, body: bytes = BODY, timestamp: int = NOW) -> dict[str, str]:
    return signing.headers("evt_01", body, secrets, timestamp)


def test_a_secret_is_whsec_and_the_base64_of_32_bytes() -> None:
    prefix, encoded = NEW[:6], NEW[6:]
    assert prefix == "whsec_"
    assert base64.b64decode(encoded, validate=True) == b"n" * 32


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_secret_is_not_made_of_too_little_or_too_much(length: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        signing.new_secret(b"x" * length)


def test_the_headers_are_those_of_the_contract_and_no_others() -> None:
    assert set(signed(NEW)) == {
        "X-Webhook-Signature",
        "X-Webhook-Timestamp",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert signed(NEW)["webhook-id"] == "evt_01"
    assert signed(NEW)["X-Webhook-Timestamp"] == signed(NEW)["webhook-timestamp"] == str(NOW)


def test_our_signature_is_what_the_contract_says_read_independently() -> None:
    mac = hmac.new(NEW.encode(), str(NOW).encode() + b"." + BODY, hashlib.sha256).hexdigest()
    assert signed(NEW)["X-Webhook-Signature"] == f"t={NOW},v1={mac}"


def test_the_standard_signature_is_made_with_the_decoded_part_of_the_secret() -> None:
    mac = hmac.new(b"n" * 32, f"evt_01.{NOW}.".encode() + BODY, hashlib.sha256).digest()
    assert signed(NEW)["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_the_standard_library_of_standard_webhooks_accepts_it() -> None:
    headers = signed(NEW, timestamp=int(time.time()))
    assert Webhook(NEW).verify(BODY, headers)["id"] == "evt_1"


def test_the_standard_library_refuses_a_changed_body_and_another_secret() -> None:
    headers = signed(NEW, timestamp=int(time.time()))
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, headers)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_a_rotation_overlaps_each_secret_alone_verifies_both_schemes(secret: str) -> None:
    headers = signed(NEW, OLD, timestamp=int(time.time()))
    assert headers["X-Webhook-Signature"].count("v1=") == 2
    Webhook(secret).verify(BODY, headers)
    signing.verify(headers["X-Webhook-Signature"], BODY, secret, now=int(time.time()))


def test_once_the_overlap_has_ended_the_old_secret_verifies_nothing() -> None:
    with pytest.raises(signing.InvalidSignature, match="matches"):
        signing.verify(signed(NEW)["X-Webhook-Signature"], BODY, OLD, now=NOW)


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(ValueError, match="at least one"):
        signing.headers("evt_01", BODY, [], NOW)


@pytest.mark.parametrize("now", [NOW - 300, NOW, NOW + 300])
def test_five_minutes_of_clock_skew_are_tolerated(now: int) -> None:
    signing.verify(signed(NEW)["X-Webhook-Signature"], BODY, NEW, now=now)


@pytest.mark.parametrize(("now", "message"), [(NOW + 301, "too old"), (NOW - 301, "too far in the future")])
def test_a_replay_beyond_the_tolerance_is_refused(now: int, message: str) -> None:
    with pytest.raises(signing.InvalidSignature, match=message):
        signing.verify(signed(NEW)["X-Webhook-Signature"], BODY, NEW, now=now)


def test_moving_the_timestamp_breaks_the_signature() -> None:
    header = signed(NEW)["X-Webhook-Signature"].replace(f"t={NOW}", f"t={NOW + 600}")
    with pytest.raises(signing.InvalidSignature, match="matches"):
        signing.verify(header, BODY, NEW, now=NOW + 600)


def test_schemes_of_the_future_and_spaces_are_passed_over() -> None:
    header = signed(NEW)["X-Webhook-Signature"].replace(",", ", v2=abc, ")
    signing.verify(header, BODY, NEW, now=NOW)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "exactly one t"),
        ("garbage", "exactly one t"),
        ("v1=aa", "exactly one t"),
        ("t=,v1=aa", "exactly one t"),
        ("t=-5,v1=aa", "exactly one t"),
        ("t=1.5,v1=aa", "exactly one t"),
        ("t=١٢,v1=aa", "exactly one t"),
        (f"t={'9' * 5000},v1=aa", "exactly one t"),
        (f"t={NOW},t={NOW},v1=aa", "exactly one t"),
        (f"t={NOW}", "no v1"),
        (f"t={NOW},v0=aa", "no v1"),
        (f"t={NOW},v1=", "matches"),
        (f"t={NOW},v1=\ud800é", "matches"),
    ],
)
def test_a_malformed_header_is_refused_with_its_reason(header: str, message: str) -> None:
    with pytest.raises(signing.InvalidSignature, match=message):
        signing.verify(header, BODY, NEW, now=NOW)


@given(header=st.text(), body=st.binary())
def test_no_garbage_raises_anything_else_or_passes(header: str, body: bytes) -> None:
    with pytest.raises(signing.InvalidSignature):
        signing.verify(header, body, NEW, now=NOW)


@given(body=st.binary(), timestamp=st.integers(0, 10**11), entropy=st.binary(min_size=32, max_size=32))
def test_whatever_is_signed_verifies(body: bytes, timestamp: int, entropy: bytes) -> None:
    secret = signing.new_secret(entropy)
    header = signing.headers("evt_01", body, [OLD, secret], timestamp)["X-Webhook-Signature"]
    signing.verify(header, body, secret, now=timestamp)

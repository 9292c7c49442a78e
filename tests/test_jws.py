"""Signed JSON: the examples of the RFCs, another library's judgement, and texts that only look signed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as judge
from joserfc.jwk import KeySet, OKPKey

from crypto_checkout import jws

# The judge warns of the older name of the algorithm, which more libraries know.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

# RFC 8037, appendix A.
PRIVATE = jws.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
PUBLIC = jws.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
SIGNED = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4i"
    "ylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def test_the_examples_of_rfc_8037_hold() -> None:
    assert jws.public_key(PRIVATE) == PUBLIC
    assert jws.key_id(PUBLIC) == THUMBPRINT
    signed = jws.parse(SIGNED)
    assert signed.payload == b"Example of Ed25519 signing"
    assert jws.is_signed_by(signed, PUBLIC)


@given(payload=st.binary(max_size=2_000))
def test_another_library_verifies_what_is_signed_here(payload: bytes) -> None:
    text = jws.sign(payload, PRIVATE, THUMBPRINT, "receipt+jwt")
    keys = KeySet([OKPKey.import_key({**jws.jwk(PUBLIC)})])
    found = judge.deserialize_compact(text, keys, algorithms=["EdDSA"])
    assert found.payload == payload
    assert found.headers() == {"alg": "EdDSA", "kid": THUMBPRINT, "typ": "receipt+jwt"}


def test_another_library_has_the_same_thumbprint_and_signs_what_is_verified_here() -> None:
    key = OKPKey.generate_key("Ed25519")
    public = jws.read_jwks({"keys": [key.as_dict(private=False)]})
    assert [*public] == [key.thumbprint()]
    for name in ("EdDSA", "Ed25519"):
        signed = jws.parse(judge.serialize_compact({"alg": name}, b"hello", key, algorithms=[name]))
        assert jws.is_signed_by(signed, public[key.thumbprint()])


@given(place=st.integers(0, len(SIGNED) - 1), letter=st.sampled_from("Aa9_-."))
def test_no_changed_text_passes(place: int, letter: str) -> None:
    changed = SIGNED[:place] + letter + SIGNED[place + 1 :]
    try:
        signed = jws.parse(changed)
    except jws.JwsInvalid:
        return
    # The last letter of a part has bits that mean nothing.
    same = jws.parse(SIGNED)
    is_same = (signed.signing_input, signed.signature) == (same.signing_input, same.signature)
    assert jws.is_signed_by(signed, PUBLIC) is is_same


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "EdDSA", "crit": ["exp"]},
        {},
        [],
        "EdDSA",
    ],
)
def test_what_asks_for_another_algorithm_is_no_signed_text(header: object) -> None:
    _, payload, signature = SIGNED.split(".")
    with pytest.raises(jws.JwsInvalid):
        jws.parse(f"{jws.encode(json.dumps(header).encode())}.{payload}.{signature}")


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "..", "é.b.c", "a" * 2_000_000, "A.A.A", "e30=.e30.e30"])
def test_what_is_no_jws_is_refused(text: str) -> None:
    with pytest.raises(jws.JwsInvalid):
        jws.parse(text)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"keys": []}, {"keys": [{"kty": "RSA"}]}, {"keys": "x"}, {"keys": [3]}]
)
def test_a_key_set_without_a_usable_key_is_refused(document: object) -> None:
    with pytest.raises(jws.JwsInvalid):
        jws.read_jwks(document)


@pytest.mark.parametrize("x", ["", "AAAA", 5, None, "not base64!"])
def test_a_malformed_key_is_refused(x: object) -> None:
    with pytest.raises(jws.JwsInvalid):
        jws.read_jwks({"kty": "OKP", "crv": "Ed25519", "x": x})

"""Sums of points and keys behind signatures: the same with coincurve and without it."""

import random

import pytest
from eth_keys.datatypes import PrivateKey

from crypto_checkout.chain.wallet import curve
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from tests.support.wallets import xpub_of

WORDS = "test test test test test test test test test test test junk"  # anvil's and hardhat's
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
DIGEST = bytes(range(32))

with_both = pytest.mark.skipif(not curve.HAS_COINCURVE, reason="coincurve has no wheel here")


@with_both
def test_pure_python_adds_as_coincurve_does() -> None:
    dice = random.Random(32)
    account = ExtendedPublicKey.parse(xpub_of(WORDS))
    scalars = [0, 1, 2, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1, *(dice.getrandbits(256) for _ in range(60))]

    for scalar in scalars:
        for point in (account.point, account.child(scalar % 1000).point):
            data = scalar.to_bytes(32, "big")
            assert curve._add_in_python(point, data) == curve._add_with_coincurve(point, data), scalar


@pytest.mark.parametrize("way", [curve._add_in_python, curve.add_to_point])
def test_a_sum_that_is_no_point_is_none(way: curve.AddToPoint) -> None:
    assert way(GENERATOR, (ORDER - 1).to_bytes(32, "big")) is None  # the point at infinity
    assert way(GENERATOR, ORDER.to_bytes(32, "big")) is None  # not below the order


@pytest.mark.parametrize("way", [curve._recover_in_python, curve.recover_point])
def test_the_key_behind_a_signature_is_found(way: curve.RecoverPoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "recover_point", way)
    for secret in range(1, 9):
        key = PrivateKey(secret.to_bytes(32))
        parity, r, s = key.sign_msg_hash(DIGEST).vrs

        assert curve.public_key(DIGEST, r, s, parity) == key.public_key.to_bytes()
        assert curve.public_key(DIGEST, r, ORDER - s, 1 - parity) == key.public_key.to_bytes()
        assert curve.public_key(DIGEST, r, s, 1 - parity) != key.public_key.to_bytes()


@pytest.mark.parametrize("way", [curve._recover_in_python, curve.recover_point])
@pytest.mark.parametrize(
    ("r", "s", "parity"),
    [
        (0, 1, 0),
        (1, 0, 0),
        (ORDER, 1, 0),
        (1, ORDER, 0),
        (5, 1, 0),  # no point of the curve has this x
        (1, 1, 2),  # a point whose x is r and the order together: no transaction's
        (1, 1, 27),
        (2**256, 1, 0),
        (1, 2**256, 1),
    ],
)
def test_what_is_no_signature_has_no_key(
    way: curve.RecoverPoint, r: int, s: int, parity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "recover_point", way)

    assert curve.public_key(DIGEST, r, s, parity) is None


@with_both
def test_pure_python_finds_the_keys_that_coincurve_finds() -> None:
    dice = random.Random(64)
    for _ in range(60):
        digest, signature = dice.randbytes(32), dice.randbytes(64) + bytes((dice.randrange(2),))

        assert curve._recover_in_python(digest, signature) == curve._recover_with_coincurve(digest, signature)

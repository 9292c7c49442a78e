"""`crypto-checkout verify-receipt`: it takes what was signed, and nothing else."""

import json
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout import jws
from crypto_checkout.cli import main
from crypto_checkout.core.public.receipts import MEDIA_TYPE

KEY, OTHER = bytes(range(32)), bytes(reversed(range(32)))
COINS = {"asset": "ETH", "units": "10000000000000000", "value": "0.01", "wei": "10000000000000000", "eth": "0.01"}
CLAIMS: dict[str, Any] = {
    "iss": "https://pay.example.com",
    "iat": 1_796_000_000,
    "object": "receipt",
    "number": "2026-000123",
    "status": "valid",
    "livemode": True,
    "issuedAt": "2026-11-23T09:30:00.000Z",
    "seller": {"name": "Tea & Sons", "address": None, "taxNumber": None},
    "payer": None,
    "sessionId": "cs_1",
    "title": "Earl Grey",
    "quantity": None,
    "fiat": {"amount": "30.00", "currency": "USD"},
    "rate": {
        "base": "ETH",
        "quote": "USD",
        "value": "3000",
        "sources": ["fixed"],
        "observedAt": "2026-11-23T09:30:00Z",
    },
    "chainId": 1,
    "asset": "ETH",
    "address": "0x" + "ad" * 20,
    "amount": COINS,
    "amountReceived": COINS,
    "fiatReceived": {"amount": "30.00", "currency": "USD"},
    "paidAt": "2026-11-23T09:30:00.000Z",
    "transfers": [
        {
            "txHash": "0x" + "ab" * 32,
            "logIndex": None,
            "kind": "native",
            "amount": COINS,
            "blockNumber": 10,
            "blockHash": "0x" + "01" * 32,
            "blockTime": "2026-11-23T09:30:00.000Z",
        }
    ],
    "refunds": [],
}

Verify = Callable[..., Result]


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    """Sign claims, write them and the key set to files, and run the command on them."""

    def run(claims: Any, *options: str, key: bytes = KEY, media_type: str = MEDIA_TYPE) -> Result:
        kid = jws.key_id(jws.public_key(key))
        text = jws.sign(json.dumps(claims).encode(), key, kid, media_type)
        (tmp_path / "receipt.jws").write_text(text + "\n")
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jws.jwk(jws.public_key(KEY))]}))
        paths = [str(tmp_path / "receipt.jws"), "--key", str(tmp_path / "jwks.json")]
        return CliRunner().invoke(main, ["verify-receipt", *paths, *options])

    return run


def test_a_genuine_receipt_is_told_in_words(verify: Verify) -> None:
    result = verify(CLAIMS)
    assert result.exit_code == 0, result.output
    for words in (
        "The signature is right: https://pay.example.com signed this on 2026-11-30",
        "Receipt 2026-000123 of Tea & Sons is valid.",
        "0.01 ETH were paid for 30.00 USD (Earl Grey)",
        "0x" + "ab" * 32,
    ):
        assert words in result.output
    assert "test mode" not in result.output
    assert json.loads(verify(CLAIMS, "--json").output) == CLAIMS


def test_a_void_receipt_is_genuine_and_fails(verify: Verify) -> None:
    result = verify({**CLAIMS, "status": "void", "transfers": []})
    assert result.exit_code == 1
    assert "VOID" in result.output


def test_test_mode_is_named(verify: Verify) -> None:
    assert "no real money moved" in verify({**CLAIMS, "livemode": False}).output


def test_another_key_proves_nothing(verify: Verify) -> None:
    result = verify(CLAIMS, key=OTHER)
    assert result.exit_code != 0
    assert "proves nothing" in result.output


def test_a_changed_receipt_is_refused(verify: Verify, tmp_path: Path) -> None:
    verify(CLAIMS)
    header, _, signature = (tmp_path / "receipt.jws").read_text().strip().split(".")
    changed = jws.encode(json.dumps({**CLAIMS, "number": "2026-000124"}).encode())
    (tmp_path / "receipt.jws").write_text(f"{header}.{changed}.{signature}")
    paths = [str(tmp_path / "receipt.jws"), "--key", str(tmp_path / "jwks.json")]
    result = CliRunner().invoke(main, ["verify-receipt", *paths])
    assert result.exit_code != 0
    assert "its signature is wrong" in result.output


@pytest.mark.parametrize(
    "claims",
    [
        {},
        [],
        "receipt",
        {**CLAIMS, "amountReceived": None},
        {**CLAIMS, "transfers": [{}]},
        {**CLAIMS, "iat": 10**30},
        {**CLAIMS, "iss": "shop"},
        {**CLAIMS, "iss": "https://pay.example.com@evil.example"},
        {**CLAIMS, "iss": "https://evil.example/?https://pay.example.com"},
        {**CLAIMS, "iss": "https://evil.example/\x1b[2J"},
        {**CLAIMS, "iss": "https://[::1"},
        {**CLAIMS, "status": "paid"},
    ],
)
def test_something_else_with_a_good_signature_is_no_receipt(verify: Verify, claims: Any) -> None:
    result = verify(claims)
    assert result.exit_code != 0
    assert "can't be verified" in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_text_signed_for_another_purpose_is_no_receipt(verify: Verify) -> None:
    result = verify(CLAIMS, media_type="JWT")
    assert result.exit_code != 0
    assert "not a receipt" in result.output


def test_what_a_payer_wrote_moves_no_cursor(verify: Verify) -> None:
    result = verify({**CLAIMS, "title": "\x1b[2J\x1b]0;owned\x07\u202etea"})
    assert result.exit_code == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(result.output)


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["verify-receipt", str(tmp_path / "none.jws"), "--key", "k.json"])
    assert result.exit_code != 0
    assert "can't be read" in result.output


@pytest.mark.parametrize("header", [b"[" * 200_000, b'{"a":' * 100_000, b"\xff", b"1" * 10_000])
def test_a_hostile_file_is_refused_in_a_sentence(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "receipt.jws").write_text(f"{jws.encode(header)}.e30.AA")
    result = CliRunner().invoke(main, ["verify-receipt", str(tmp_path / "receipt.jws"), "--key", "k.json"])
    assert isinstance(result.exception, SystemExit)
    assert "can't be verified" in result.output


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    result = CliRunner().invoke(main, ["verify-receipt", "/dev/zero"])
    assert isinstance(result.exception, SystemExit)
    assert "larger than any receipt" in result.output


class _Endless(BaseHTTPRequestHandler):
    """Answers without an end, or leads elsewhere."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/.well-known/jwks.json")
        self.end_headers()
        with suppress(OSError):
            while self.path != "/moved":
                self.wfile.write(b" " * 65_536)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.mark.parametrize(
    ("path", "told"), [("/receipt.jws", "larger than any receipt"), ("/moved", "can't be fetched")]
)
def test_an_answer_without_an_end_is_not_read_to_it_and_no_redirect_is_followed(path: str, told: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        result = CliRunner().invoke(main, ["verify-receipt", f"http://127.0.0.1:{server.server_port}{path}"])
        server.shutdown()
    assert isinstance(result.exception, SystemExit)
    assert told in result.output

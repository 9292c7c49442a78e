"""A stolen copy of the database: it tells of the business, and opens nothing."""

import base64
from pathlib import Path

import pyotp
import pytest

from crypto_checkout.store.backups import file as backup
from tests.support.api import ENDPOINT, LINK, PRICE, Clock, made, open_app
from tests.support.dashboard import PASSWORD, hidden, signed_in
from tests.support.shop import FRESH_XPUB

pytestmark = pytest.mark.sqlite

RPC_KEY = "rpc-key-of-a-provider"
ENDPOINTS = "/webhook_endpoints"


def spellings(whsec: str) -> set[bytes]:
    """Return a webhook's secret as text, without its prefix, and as bytes."""
    plain = whsec.removeprefix("whsec_")
    return {whsec.encode(), plain.encode(), base64.b64decode(plain)}


async def test_a_copy_holds_nothing_to_get_in_or_to_sign_with(tmp_path: Path) -> None:
    clock = Clock()
    chain = {"id": 1, "name": "Ethereum", "rpc_urls": [f"http://127.0.0.1:9/{RPC_KEY}"]}
    secret: set[bytes] = {PASSWORD.encode(), FRESH_XPUB.encode(), RPC_KEY.encode()}
    async with open_app(tmp_path, clock=clock, wallet={"xpub": FRESH_XPUB}, chains=[chain]) as app:
        once = {"Idempotency-Key": "once"}
        endpoint = await made(app.api, ENDPOINTS, ENDPOINT, headers=once)
        rotation = {"overlapSeconds": 3600}
        rotated = await app.api.post(
            f"{ENDPOINTS}/{endpoint['id']}/rotate_secret", json=rotation, headers=once | {"Idempotency-Key": "twice"}
        )
        secret |= spellings(endpoint["secret"]) | spellings(rotated.json()["secret"])
        live = await app.client(livemode=True)
        secret |= {each.headers["Authorization"].removeprefix("Bearer ").encode() for each in (app.api, live)}
        await made(app.api, "/payment_links", LINK)
        await made(app.api, "/checkout_sessions", {**PRICE, "customerEmail": "ada@example.com"})

        owner = await signed_in(app)
        page = "/test/settings/second-factor"
        totp = hidden((await owner.get(page)).text, "secret")
        shown = await owner.post(page, data={"secret": totp, "code": pyotp.TOTP(totp).at(clock.now)})
        codes = [part.partition("<")[0] for part in shown.text.split("<li><code>")[1:]]
        assert len(codes) == 10
        secret |= {totp.encode(), base64.b32decode(totp)}
        for code in codes:
            secret |= {code.encode(), code.replace("-", "").encode(), base64.b32decode(code.replace("-", "").upper())}
        cookies = {cookie.value for cookie in owner.cookies.jar if cookie.value and "notice" not in cookie.name}
        assert len(cookies) >= 2, "the login's and the browser's"
        secret |= {cookie.encode() for cookie in cookies}
    backup.back_up(tmp_path / "checkout.db", tmp_path / "stolen.db", overwrite=False)
    stolen = (tmp_path / "stolen.db").read_bytes()
    assert [each for each in secret if each in stolen] == []
    assert b"ada@example.com" in stolen, "what the shop sold can be read"

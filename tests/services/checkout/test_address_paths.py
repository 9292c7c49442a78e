"""Where a session's address is in the wallet: its number and derivation path, as far as the wallet's key tells."""

from dataclasses import replace
from pathlib import Path

import httpx

from crypto_checkout.chain.sandbox import chain as sandbox
from crypto_checkout.chain.wallet.xpub import HARDENED, ExtendedPublicKey
from crypto_checkout.store.checkout import paths
from tests.support.api import PRICE, made, open_app

KEY = ExtendedPublicKey.parse(sandbox.XPUB)


def test_an_accounts_key_knows_its_account_and_its_receiving_chains_key_does_not() -> None:
    account = replace(KEY, child_number=HARDENED + 7)
    assert account.branch == "m/44'/60'/7'/0"
    assert account.child(0).branch == "m/44'/60'/?'/0"
    assert account.child(0).wallet_id == account.wallet_id


async def test_sessions_and_their_events_name_number_and_path(api: httpx.AsyncClient) -> None:
    for index in range(2):
        session = await made(api, "/checkout_sessions", PRICE)
        assert (session["addressIndex"], session["addressPath"]) == (index, f"{KEY.branch}/{index}")
        (event,) = (await api.get("/events", params={"resourceId": session["id"]})).json()["data"]
        assert event["data"]["addressPath"] == session["addressPath"]


async def test_the_next_start_fills_in_the_paths_of_addresses_that_were_given_out_before(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        for _ in range(3):
            await made(app.api, "/checkout_sessions", PRICE)
        await app.opened.db.write(lambda unit: unit.run("UPDATE checkout_sessions SET address_path = NULL"))
        assert (await app.api.get("/checkout_sessions")).json()["data"][0]["addressPath"] is None
    async with open_app(tmp_path) as app:
        found = (await app.api.get("/checkout_sessions")).json()["data"]
        assert [each["addressPath"] for each in found] == [f"{KEY.branch}/{index}" for index in (2, 1, 0)]
        assert not await app.opened.db.write(lambda unit: paths.fill(unit, KEY.wallet_id, KEY.branch))

"""The payer's receipt: its page, its signed form, and the keys that verify it."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws as judge
from joserfc.jwk import KeySet

from crypto_checkout import jws
from crypto_checkout.http.checkout.translations import LANGUAGES, load
from tests.support.api import PRICE, App, made, open_app

# The judge warns of the older name of the algorithm, which more libraries know.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
SHOP = {"name": "Tea & Sons", "address": "Tea & Sons Ltd\n1 High Street\nLondon", "tax_number": "VAT GB123456789"}


async def browser(app: App) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app.opened.web, client=("127.0.0.1", 50_000))
    client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4020")
    return await app.clients.enter_async_context(client)


async def paid(app: App, scenario: str = "exact", **fields: Any) -> dict[str, Any]:
    session = await made(app.api, SESSIONS, fields if "linkId" in fields else {**PRICE, **fields})
    path = f"{HELPERS}{SESSIONS}/{session['id']}/pay"
    answer = await app.api.post(path, json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = (await app.api.get(f"{SESSIONS}/{session['id']}")).json()
    return found


async def signed_claims(client: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    """Return the claims of a receipt, as another library verifies them."""
    answer = await client.get(f"/checkout/{session_id}/receipt.jws")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jose"
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    found = judge.deserialize_compact(answer.text.strip(), keys, algorithms=["EdDSA"])
    claims: dict[str, Any] = json.loads(found.payload or b"")
    return claims


async def test_a_paid_session_has_a_numbered_receipt_with_all_that_was_paid(tmp_path: Path) -> None:
    async with open_app(tmp_path, branding=SHOP) as app:
        link = await made(app.api, "/payment_links", {"title": "Earl <Grey>", "fiatAmount": "30.00"})
        session = await paid(app, linkId=link["id"])
        year = session["paidAt"][:4]
        assert session["receiptNumber"] == f"T{year}-000001"
        assert session["receiptUrl"] == f"http://127.0.0.1:4020/checkout/{session['id']}/receipt"
        client = await browser(app)
        path = f"/checkout/{session['id']}"
        assert f'href="{path}/receipt"' in (await client.get(path)).text
        answer = await client.get(f"{path}/receipt")
        (payment,) = session["payments"]
        for text in (
            f"Receipt <bdi>T{year}-000001</bdi>",
            "Tea &amp; Sons Ltd\n1 High Street\nLondon",
            "VAT GB123456789",
            "Earl &lt;Grey&gt;",
            "30.00 USD",
            f"{session['amount']['value']} ETH",
            payment["txHash"],
            payment["blockHash"],
            str(payment["blockNumber"]),
        ):
            assert text in answer.text, text
        assert "void" not in re.sub(r"<style.*?</style>", "", answer.text)
        assert answer.headers["x-robots-tag"] == "noindex"
        assert '<meta name="robots" content="noindex">' in answer.text


async def test_the_signed_form_states_session_transactions_and_blocks(tmp_path: Path) -> None:
    async with open_app(tmp_path, branding=SHOP) as app:
        session = await paid(app, customerEmail="ada@example.com")
        claims = await signed_claims(await browser(app), session["id"])
        (payment,) = session["payments"]
        assert claims["iss"] == "http://127.0.0.1:4020"
        assert (claims["number"], claims["status"], claims["livemode"]) == (session["receiptNumber"], "valid", False)
        assert claims["seller"] == {
            "name": "Tea & Sons",
            "address": "Tea & Sons Ltd\n1 High Street\nLondon",
            "taxNumber": "VAT GB123456789",
        }
        assert claims["payer"] == {"name": None, "email": "ada@example.com"}
        shared = ("chainId", "asset", "address", "amount", "amountReceived", "fiat", "paidAt", "rate")
        assert {name: claims[name] for name in shared} == {name: session[name] for name in shared}
        stated = ("txHash", "logIndex", "kind", "amount", "blockNumber", "blockHash", "blockTime")
        assert claims["transfers"] == [{name: payment[name] for name in stated}]


async def test_a_session_without_a_receipt_leads_to_its_own_page(app: App) -> None:
    session = await made(app.api, SESSIONS, PRICE)
    client = await browser(app)
    assert (session["receiptNumber"], session["receiptUrl"]) == (None, None)
    answer = await client.get(f"/checkout/{session['id']}/receipt")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/checkout/{session['id']}")
    assert (await client.get(f"/checkout/{session['id']}/receipt.jws")).status_code == 404
    assert (await client.get("/checkout/cs_nothing/receipt.jws")).status_code == 404


async def test_a_receipt_is_void_while_the_money_is_gone_and_valid_again_with_the_same_number(app: App) -> None:
    session = await paid(app, "reorged_after_paid")
    client = await browser(app)
    number = session["receiptNumber"]
    assert (session["status"], number is not None) == ("failed", True)
    assert "This receipt is void" in (await client.get(f"/checkout/{session['id']}/receipt")).text
    assert (await signed_claims(client, session["id"]))["status"] == "void"

    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={})
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 5})
    again = (await app.api.get(f"{SESSIONS}/{session['id']}")).json()
    assert (again["status"], again["receiptNumber"]) == ("paid", number)
    assert "This receipt is void" not in (await client.get(f"/checkout/{session['id']}/receipt")).text
    assert (await signed_claims(client, session["id"]))["status"] == "valid"


@pytest.mark.parametrize("scenario", ["exact", "overpaid", "late", "top_up", "two_in_one_tx", "internal"])
async def test_every_way_to_be_settled_gives_a_receipt(app: App, scenario: str) -> None:
    session = await paid(app, scenario)
    claims = await signed_claims(await browser(app), session["id"])
    assert claims["number"] == session["receiptNumber"]
    assert sum(int(each["amount"]["units"]) for each in claims["transfers"]) == int(claims["amountReceived"]["units"])


async def test_an_accepted_session_gets_its_receipt_when_it_is_accepted(app: App) -> None:
    session = await paid(app, "underpaid")
    assert session["receiptNumber"] is None
    accepted = (await app.api.post(f"{SESSIONS}/{session['id']}/accept")).json()
    assert accepted["receiptNumber"].endswith("-000001")
    events = (await app.api.get("/events", params={"resourceId": session["id"]})).json()["data"]
    assert events[0]["data"]["receiptNumber"] == accepted["receiptNumber"]


async def test_a_receipt_for_a_part_of_the_price_has_what_that_is_worth(app: App) -> None:
    session = await paid(app, "underpaid")
    await app.api.post(f"{SESSIONS}/{session['id']}/accept")
    client = await browser(app)
    claims = await signed_claims(client, session["id"])
    assert (claims["fiat"]["amount"], claims["fiatReceived"]) == ("30.00", {"amount": "15.00", "currency": "USD"})
    page = (await client.get(f"/checkout/{session['id']}/receipt")).text
    words = re.sub(r"<[^>]+>", "", page)
    assert "0.005 ETH (15.00 USD)" in words, words
    exact = await paid(app)
    assert (await signed_claims(client, exact["id"]))["fiatReceived"] == exact["fiat"]


async def test_the_receipt_is_in_the_payers_language(app: App) -> None:
    session, client = await paid(app, customerEmail="ada@example.com"), await browser(app)
    for code in LANGUAGES:
        page = (await client.get(f"/checkout/{session['id']}/receipt", params={"lang": code})).text
        words = load(code)
        assert f'dir="{words.direction}"' in page
        assert str(words("receipt", number=session["receiptNumber"])) in page
        assert str(words("receipt_payer")) in page


async def test_refunds_that_were_paid_are_on_the_receipt(app: App) -> None:
    session = await paid(app, "exact")
    refund = await made(
        app.api, "/refunds", {"sessionId": session["id"], "destination": "0x00000000000000000000000000000000000deCAf"}
    )
    client = await browser(app)
    assert (await signed_claims(client, session["id"]))["refunds"] == []
    await app.api.post(f"{HELPERS}/refunds/{refund['id']}/pay")
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 5})
    refund = (await app.api.get(f"/refunds/{refund['id']}")).json()
    if refund["status"] != "paid":
        pytest.fail(f"the refund is {refund['status']}")
    (stated,) = (await signed_claims(client, session["id"]))["refunds"]
    assert (stated["id"], stated["txHash"]) == (refund["id"], refund["txHash"])
    assert refund["txHash"] in (await client.get(f"/checkout/{session['id']}/receipt")).text


@pytest.mark.sqlite  # without its key no process starts on a server's database
async def test_a_server_without_its_secret_key_signs_anew_and_old_receipts_stay_verifiable(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        session, client = await paid(app), await browser(app)
        old = (await client.get(f"/checkout/{session['id']}/receipt.jws")).text
    (tmp_path / "secret.key").unlink()
    async with open_app(tmp_path) as app:
        client = await browser(app)
        new = (await client.get(f"/checkout/{session['id']}/receipt.jws")).text
        keys = jws.read_jwks((await client.get("/.well-known/jwks.json")).json())
    kids = [str(jws.parse(each).kid) for each in (old, new)]
    assert len(set(kids)) == 2
    for text, kid in zip((old, new), kids, strict=True):
        assert jws.is_signed_by(jws.parse(text), keys[kid])


async def test_the_private_key_is_encrypted_in_the_database(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        await (await browser(app)).get("/.well-known/jwks.json")
        row = await app.opened.db.read(lambda unit: unit.one("SELECT * FROM receipt_keys"))
    assert row is not None
    assert row["private_key"].startswith("aes256gcm:")

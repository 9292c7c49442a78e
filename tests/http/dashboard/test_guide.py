"""The setup and the settings that it leads to: what is checked, and the lines that it offers."""

import base64
import html
import re
import threading
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.app import offline
from crypto_checkout.chain.sandbox import chain as sandbox
from crypto_checkout.config import Config, load
from crypto_checkout.services.reporting import config_snippets
from crypto_checkout.store.data_folder import last_backup
from crypto_checkout.store.owner import setup as store
from tests.support import server
from tests.support.anvil import Anvil
from tests.support.api import App, open_app, url_of
from tests.support.dashboard import backed_up, hidden, signed_in
from tests.support.receiver import Receiver
from tests.support.shop import FRESH_XPUB, XPUB
from tests.support.waiting import until

ALERT_SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
COLD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
ANVIL_CHAIN = {"id": 31337, "name": "Anvil", "poll_seconds": 0.1}


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


def text_of(page: str, element_id: str) -> str:
    """Return the text of an element that holds nothing else."""
    found = re.search(rf'id="{element_id}"[^>]*>([^<]*)<', page)
    assert found is not None, f"there is no {element_id}"
    return html.unescape(found[1])


def loaded(folder: Path, lines: str) -> Any:
    """Return the configuration that these lines make."""
    file = folder / "checkout.toml"
    file.write_text(lines, "utf-8")
    return load(file, {})


# --- the wallet ------------------------------------------------------------------------------------------------------


async def test_a_cold_address_is_checked_and_offered_as_a_line(owner: httpx.AsyncClient, tmp_path: Path) -> None:
    answer = await owner.post("/test/settings/wallet/cold-address", data={"cold_address": f" {COLD}\n"})
    assert answer.status_code == 200
    lines = text_of(answer.text, "toml")
    assert loaded(tmp_path, lines).wallet.cold_address == COLD.lower()


@pytest.mark.parametrize("text", [COLD.lower(), "ab" * 32, "test test test junk", ""])
async def test_what_is_no_cold_address_is_refused_and_not_repeated(owner: httpx.AsyncClient, text: str) -> None:
    answer = await owner.post("/test/settings/wallet/cold-address", data={"cold_address": text})
    assert answer.status_code == 400
    assert not text or text not in answer.text


async def test_the_reason_for_a_chain_without_deposits_is_shown(anvil: Callable[..., Anvil], tmp_path: Path) -> None:
    chain = {**ANVIL_CHAIN, "rpc_urls": [anvil().url]}
    async with open_app(tmp_path, wallet={"cold_address": COLD, "xpub": XPUB}, chains=[chain]) as app:
        owner = await signed_in(app)

        async def is_shown() -> bool:
            return "crypto-checkout collect setup prints" in (await owner.get("/settings/wallet")).text

        await until(is_shown, "say why")
        page = (await owner.get("/settings/wallet")).text
        assert COLD in page
        assert "The wallet of older payments" in page
        assert "Anvil isn’t offered to payers" in page
        overview = (await owner.get("", follow_redirects=True)).text
        assert "offered to payers: the contracts that collect" in overview, "it needs attention"


async def test_a_wallet_is_shown_by_its_first_addresses_and_offered_as_lines_and_kept_nowhere(
    owner: httpx.AsyncClient, tmp_path: Path
) -> None:
    answer = await owner.post("/test/settings/wallet", data={"xpub": f"  {XPUB}\n"})
    assert answer.status_code == 200
    # anvil's own accounts, which its start prints.
    assert "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in answer.text
    assert answer.text.count("<code>0x") == config_snippets.FIRST_ADDRESSES
    lines = text_of(answer.text, "toml")
    assert tomllib.loads(lines)["wallet"]["xpub"] == XPUB
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("checkout.db*"))  # noqa: ASYNC240 - a test
    assert XPUB.encode() not in stored
    assert XPUB not in (await owner.get("/test/settings/wallet")).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "This field is required."),
        ("xpub-nonsense", "xpub"),
        (
            "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
            "private",
        ),
        ("legal winner thank year wave sausage worth useful legal winner thank yellow", "looks like a recovery phrase"),
    ],
)
async def test_what_is_no_extended_public_key_is_refused_in_words_and_a_secret_is_not_shown_again(
    owner: httpx.AsyncClient, text: str, said: str
) -> None:
    answer = await owner.post("/test/settings/wallet", data={"xpub": text})
    assert answer.status_code == 400
    assert said in answer.text
    if said in {"private", "looks like a recovery phrase"}:
        assert text not in html.unescape(answer.text)


async def test_the_public_test_wallet_is_warned_of(owner: httpx.AsyncClient) -> None:
    answer = await owner.post("/test/settings/wallet", data={"xpub": sandbox.XPUB})
    assert "anyone can take the money" in answer.text


async def test_the_addresses_of_the_wallet_that_is_paid_to_can_be_confirmed_and_no_others(tmp_path: Path) -> None:
    async with open_app(tmp_path, wallet={"xpub": FRESH_XPUB}) as app:
        owner = await signed_in(app)
        page = (await owner.get("/test/settings/wallet")).text
        assert "They match" in page
        stale = await owner.post("/test/settings/wallet/compared", data={"wallet": "another"}, follow_redirects=True)
        assert "has changed meanwhile" in stale.text
        assert "They match" in stale.text
        noted = await owner.post(
            "/test/settings/wallet/compared", data={"wallet": hidden(page, "wallet")}, follow_redirects=True
        )
        assert "You confirmed that these are the addresses" in noted.text
        assert "They match" not in noted.text
        assert "wallet.compared" in (await owner.get("/test/settings/trail")).text


# --- chains ----------------------------------------------------------------------------------------------------------


def test_every_preset_makes_a_configuration_that_loads(tmp_path: Path) -> None:
    found = config_snippets.presets()
    assert len({preset.id for preset in found}) == 13
    wallet = config_snippets.wallet(config_snippets.preview(XPUB)).lines
    config = loaded(tmp_path, "\n".join([wallet, *(preset.with_nodes(["https://n.example/k"]) for preset in found)]))
    assert [chain.name for chain in config.chains] == [preset.name for preset in found]
    for chain in config.chains:
        assert chain.rpc_urls == ("https://n.example/k",)
        assert chain.explorer_url.startswith("https://")
        assert any(token.symbol.startswith("USDC") for token in chain.tokens)
        assert not chain.confirmation_tiers


def test_a_name_is_written_so_that_it_comes_back_as_it_was(tmp_path: Path) -> None:
    for name in ("Ada's Bakery", 'Say "cheese"', "C:\\shop", "Käse & Brot 🧀"):
        assert loaded(tmp_path, config_snippets.branding({"name": name}).lines).branding.name == name


class Lying(BaseHTTPRequestHandler):
    """A node that says nothing useful."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"jsonrpc":"2.0","id":0,"result":"<script>"}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def liar() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Lying) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


async def test_nodes_are_tried_now_and_each_gets_a_verdict(owner: httpx.AsyncClient, anvil: Any, liar: str) -> None:
    node: Anvil = anvil()
    body = {"preset": "1", "urls": f"{node.url}/?key=secret-key\n{liar}\nhttp://127.0.0.1:1/"}
    answer = await owner.post("/test/settings/chains", data=body)
    assert answer.status_code == 200
    page = html.unescape(answer.text)
    assert "it serves chain 31337, not 1" in page
    assert page.count("It can't be used") == 3
    assert "can't connect" in page
    assert page.count("secret-key") == 2  # in the field, and in the lines; never in the table
    assert "<script>" not in answer.text
    assert "not every node is usable" in page.lower()
    assert tomllib.loads(text_of(answer.text, "toml"))["chains"][0]["rpc_urls"][1] == liar


@pytest.mark.parametrize("urls", ["", "ftp://node.example", "https://", "\n".join(f"https://n{n}" for n in range(9))])
async def test_what_is_no_url_is_asked_of_nobody(owner: httpx.AsyncClient, urls: str) -> None:
    answer = await owner.post("/test/settings/chains", data={"preset": "1", "urls": urls})
    assert answer.status_code == 400
    assert 'id="urls-wrong"' in answer.text


async def test_the_chains_of_each_mode_are_shown_in_that_mode_only(tmp_path: Path, anvil: Any) -> None:
    node: Anvil = anvil()
    chain = {**ANVIL_CHAIN, "rpc_urls": [f"{node.url}/?key=secret-key"]}
    async with open_app(tmp_path, wallet={"xpub": XPUB}, chains=[chain], branding={"name": "Ada"}) as app:
        owner = await signed_in(app)
        live = [watcher for watcher in app.opened.watchers if watcher.status.chain_id == 31337]
        await until(lambda: live[0].status.processed is not None, "a block of anvil's")
        page = (await owner.get("/settings/chains")).text
        assert "Anvil" in page
        assert "1337)" not in page.replace("31337)", "")
        assert "Anvil" not in (await owner.get("/test/settings/chains")).text
        checked = (await owner.post("/settings/chains/check", data={"chain": "31337"})).text
        assert 'class="badge good">works' in checked
        assert "secret-key" not in checked
        assert (await owner.post("/settings/chains/check", data={"chain": "1"})).status_code == 400
        page = (await owner.get("/settings/wallet")).text
        assert "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in page
        assert XPUB not in page


# --- prices ----------------------------------------------------------------------------------------------------------


async def test_prices_are_asked_for_and_named_with_their_sources(owner: httpx.AsyncClient) -> None:
    page = (await owner.post("/test/settings/prices", data={"currency": "usd"})).text
    assert "ETH" in page
    assert " USD</td>" in page
    answer = await owner.post("/test/settings/prices", data={"currency": "ZZZ"})
    assert answer.status_code == 400
    assert "not a currency" in answer.text


# --- the steps -------------------------------------------------------------------------------------------------------


STEPS = [
    "Make a test payment",
    "Name your shop",
    "Connect your wallet",
    "Add a chain",
    "Check the prices",
    "Create a payment link",
    "Make a small real payment",
    "Make a backup",
    "Turn on alerts",
    "Turn on the second factor",
]


def steps_here() -> list[str]:
    """Return the titles of all steps: a database on a server is backed up there."""
    return [each for each in STEPS if each != "Make a backup" or server.url_in_place_of is None]


def steps_on(page: str) -> dict[str, bool]:
    """Return the steps on a page, and whether each is done."""
    steps = page.partition('class="guide"')[2].partition("</ol>")[0]
    items = [part.partition("</li>")[0] for part in steps.split("<li")[1:]]
    return {re.findall(r"<h2>([^<]*)<", item)[0]: "(done)" in item for item in items}


async def done(owner: httpx.AsyncClient) -> list[str]:
    """Return the titles of the steps that are done."""
    steps = steps_on((await owner.get("/test/guide")).text)
    assert list(steps) == steps_here()
    return [title for title, is_done in steps.items() if is_done]


async def test_each_step_is_done_by_what_it_is_about_and_stays_done(owner: httpx.AsyncClient) -> None:
    assert await done(owner) == []
    link = await owner.post("/test/guide/link", data={"title": "Tea & cake", "amount": "4.50", "currency": "eur"})
    assert link.status_code == 200
    assert "/l/" in text_of(link.text, "link")
    assert "It takes ETH on Sandbox" in link.text
    assert re.search(r'/links/pl_\w+/edit">let payers choose among your coins', link.text)
    with Receiver() as shop:
        made = await owner.post("/test/guide/webhook", data={"url": shop.url})
        assert text_of(made.text, "secret").startswith("whsec_")
        endpoint = re.search(r"/guide/webhook/(we_\w+)/test", made.text)
        assert endpoint is not None
        tried = await owner.post(f"/test/guide/webhook/{endpoint[1]}/test")
        assert "accepted the test event" in tried.text
        paid = await owner.post("/test/guide/payment", data={"by": "server"})
        path = paid.headers["location"].removeprefix("/dashboard")

        async def has_come() -> bool:
            return "Your test payment arrived" in (await owner.get(path)).text

        await until(has_come, "the test payment")
    assert "4.50 EUR" in (await owner.get(path)).text
    assert await done(owner) == ["Make a test payment", "Create a payment link"]
    (link_id,) = set(re.findall(r"/links/(pl_\w+)", (await owner.get("/test/links")).text))
    assert (await owner.post(f"/test/links/{link_id}/delete")).status_code == 303
    assert await done(owner) == ["Make a test payment", "Create a payment link"]
    trail = (await owner.get("/test/settings/trail")).text
    assert "payment_link.created" in trail
    assert "webhook_endpoint.created" in trail


@pytest.mark.sqlite  # a database on a server is backed up there
async def test_a_backup_that_was_downloaded_counts(owner: httpx.AsyncClient) -> None:
    assert (await owner.post(f"/settings/backup/{await backed_up(owner)}")).status_code == 200
    assert await done(owner) == ["Make a backup"]


@pytest.mark.sqlite  # as above
async def test_the_command_lines_backup_counts_and_a_name_and_a_cold_address_are_facts(tmp_path: Path) -> None:
    async with open_app(tmp_path, branding={"name": "Ada"}, wallet={"cold_address": COLD}) as app:
        owner = await signed_in(app)
        assert await done(owner) == ["Name your shop", "Connect your wallet"]
        last_backup.note(tmp_path, datetime.now(UTC), tmp_path / "copy.db")
        assert "Make a backup" in await done(owner)
    async with open_app(tmp_path) as app:
        found = await app.opened.db.read(store.progress)
        assert [step.value for step in found.done] == ["shop", "wallet", "backup"], "what was done stays done"


async def test_the_overview_shows_the_next_step_until_the_setup_is_dismissed_and_it_can_be_resumed(
    owner: httpx.AsyncClient,
) -> None:
    page = (await owner.get("/test")).text
    assert f"0 of {len(steps_here())} done" in page
    assert "Next: Make a test payment" in page
    gone = await owner.post("/test/guide/dismiss", follow_redirects=True)
    assert "Setup dismissed." in gone.text
    assert "Next: " not in gone.text
    assert list(steps_on((await owner.get("/test/guide")).text)) == steps_here()
    await owner.post("/test/guide/resume")
    assert "Next: Make a test payment" in (await owner.get("/test")).text
    trail = (await owner.get("/test/settings/trail")).text
    assert "setup.dismissed" in trail
    assert "setup.resumed" in trail


async def test_a_test_alert_goes_to_everyone_and_is_the_proof_that_alerts_work(tmp_path: Path) -> None:
    with Receiver() as shop:
        url = shop.url.replace("/hook", "/secret-path")
        async with open_app(
            tmp_path,
            alerts={"webhook_url": url, "webhook_secret": ALERT_SECRET},
            webhooks={"allow_private_networks": True},
        ) as app:
            owner = await signed_in(app)
            page = (await owner.get("/test/settings/alerts")).text
            assert "127.0.0.1" in page
            assert "secret-path" not in page
            assert "Turn on alerts" not in await done(owner)
            answer = await owner.post("/test/settings/alerts")
            assert "Webhook: the test alert was sent." in answer.text
            assert len(shop.received) == 1
            assert "Turn on alerts" in await done(owner)
            assert "alerts.tested" in (await owner.get("/test/settings/trail")).text


async def test_a_test_alert_of_the_command_line_counts_too(tmp_path: Path) -> None:
    database = {"path": tmp_path / "checkout.db", **url_of(tmp_path / "checkout.db")}
    async with open_app(tmp_path) as app:
        owner = await signed_in(app)
        await offline.note_alerts_tested(Config.model_validate({"database": database}, context={"path": None}))
        assert "Turn on alerts" in await done(owner)
        assert "alerts.tested" in (await owner.get("/test/settings/trail")).text


@pytest.mark.sqlite  # a file that isn't there
async def test_a_test_alert_of_the_command_line_makes_no_database(tmp_path: Path) -> None:
    config = Config.model_validate({"database": {"path": tmp_path / "checkout.db"}}, context={"path": None})
    await offline.note_alerts_tested(config)
    assert not (tmp_path / "checkout.db").exists()


async def test_a_test_alert_that_nobody_took_proves_nothing(tmp_path: Path) -> None:
    alerts = {"webhook_url": "http://127.0.0.1:9/", "webhook_secret": ALERT_SECRET}
    async with open_app(tmp_path, alerts=alerts, webhooks={"allow_private_networks": True}) as app:
        owner = await signed_in(app)
        assert "Webhook: the test alert was not sent: " in (await owner.post("/test/settings/alerts")).text
        assert "Turn on alerts" not in await done(owner)
        assert "alerts.tested" not in (await owner.get("/test/settings/trail")).text


async def test_without_anybody_to_alert_the_lines_for_it_are_offered(owner: httpx.AsyncClient) -> None:
    page = (await owner.get("/test/settings/alerts")).text
    assert "Nobody gets alerts yet." in page
    lines = tomllib.loads(text_of(page, "toml"))
    assert set(lines) == {"mail", "alerts"}
    assert lines["mail"].keys() >= {"from", "smtp_host"}
    assert lines["alerts"].keys() == {"email_to"}


async def test_a_small_real_payment_is_followed_until_it_arrives(tmp_path: Path, anvil: Any) -> None:
    node: Anvil = anvil()
    chain = {**ANVIL_CHAIN, "rpc_urls": [node.url], "confirmations": 1}
    prices = {"fixed": {"ETH/USD": "3000"}}
    async with open_app(tmp_path, wallet={"xpub": FRESH_XPUB}, chains=[chain], prices=prices) as app:
        owner = await signed_in(app)
        assert "needs your wallet" not in (await owner.get("/guide/real-payment")).text

        async def is_made() -> bool:
            answer = await owner.post("/guide/real-payment", data={"amount": "3.00", "currency": "usd"})
            location = answer.headers.get("location")
            if location:
                made.append(location.removeprefix("/dashboard"))
            return bool(location)

        made: list[str] = []
        await until(is_made, "make a session once the wallet was asked about")
        page = (await owner.get(made[0])).text
        assert "Nothing has arrived yet." in page
        assert 'http-equiv="refresh"' in page
        assert "QR code of the payment page" in page
        address = re.search(r"<code>(0x[0-9a-fA-F]{40})</code>", page)
        assert address is not None
        node.send(node.accounts[9], address[1], 10**15)
        node.mine(3)

        async def has_come() -> bool:
            return "Your payment arrived" in (await owner.get(made[0])).text

        await until(has_come, "the payment")
        assert "3.00 USD" in (await owner.get(made[0])).text
        assert steps_on((await owner.get("/guide")).text)["Make a small real payment"]


async def test_a_small_real_payment_needs_a_wallet_and_a_chain(owner: httpx.AsyncClient) -> None:
    page = (await owner.get("/test/guide/real-payment")).text
    assert "needs your wallet and a chain" in page
    assert 'href="/dashboard/test/settings/wallet"' in page
    data = {"amount": "1.00", "currency": "USD"}
    assert (await owner.post("/guide/real-payment", data=data)).status_code == 404
    assert (await owner.post("/test/guide/real-payment", data=data)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"title": "", "amount": "1", "currency": "USD"}, "title"),
        ({"title": "Tea", "amount": "1,5", "currency": "USD"}, "amount"),
        ({"title": "Tea", "amount": "0", "currency": "USD"}, "amount"),
        ({"title": "Tea", "amount": "1", "currency": "TEA"}, "currency"),
    ],
)
async def test_a_wrong_price_makes_no_link(owner: httpx.AsyncClient, fields: dict[str, str], wrong: str) -> None:
    answer = await owner.post("/test/guide/link", data=fields)
    assert answer.status_code == 400
    assert f'id="{wrong}-wrong"' in answer.text


async def test_a_webhook_that_does_not_answer_is_said_so(owner: httpx.AsyncClient) -> None:
    made = await owner.post("/test/guide/webhook", data={"url": "http://127.0.0.1:9/hook"})
    endpoint = re.search(r"/guide/webhook/(we_\w+)/test", made.text)
    assert endpoint is not None
    tried = (await owner.post(f"/test/guide/webhook/{endpoint[1]}/test")).text
    assert "did not accept the test event. The connection was refused" in tried, tried
    wrong = await owner.post("/test/guide/webhook", data={"url": "nowhere"})
    assert wrong.status_code == 400
    assert 'id="url-wrong"' in wrong.text

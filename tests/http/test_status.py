"""For those who watch the server: alive, ready, and the metrics for nobody but them."""

import platform
import resource
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from crypto_checkout import __version__
from crypto_checkout.services.ledger import health
from tests.store.test_faults import a_broken_page
from tests.support.anvil import Anvil
from tests.support.api import LINK, App, Clock, error, made, open_app
from tests.support.live_server import PRICE, LiveServer
from tests.support.server import Server
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB
from tests.support.waiting import until

HEALTHZ, READYZ = (f"http://shop.example/{name}" for name in ("healthz", "readyz"))
METRICS = "http://localhost:4020/metrics"


async def test_a_server_that_runs_is_alive(app: App) -> None:
    nobody = await app.anybody(address="203.0.113.9")
    answer = await nobody.get(HEALTHZ)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (await nobody.head(HEALTHZ)).status_code == 200


async def test_a_server_that_can_work_is_ready(app: App) -> None:
    answer = await (await app.anybody(address="203.0.113.9")).get(READYZ)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "leader": "this process",
        "checks": {"database": "ok", "descriptors": "ok", "chain 1337": "ok"},
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_a_writer_that_is_stuck_makes_it_not_ready(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_DATABASE_SECONDS", 0.05)
    other = sqlite3.connect(tmp_path / "checkout.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = await app.api.get(READYZ)
    other.close()
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    assert answer.json()["checks"] == {
        "database": "no write succeeded within 0.05 s",
        "descriptors": "ok",
        "chain 1337": "ok",
    }
    assert (await app.api.get(HEALTHZ)).status_code == 200


async def test_a_chain_that_cannot_be_read_makes_it_not_ready_and_the_cause_is_told(tmp_path: Path) -> None:
    clock = Clock()
    with capture_logs():
        async with open_app(
            tmp_path,
            clock=clock,
            test_mode={"enabled": False},
            wallet={"xpub": FRESH_XPUB},
            chains=[{"id": 1, "name": "Ethereum", "rpc_urls": ["http://127.0.0.1:1/"]}],
        ) as app:
            (watcher,) = app.opened.watchers
            await until(lambda: watcher.status.error, "try to read the chain")
            clock.move(seconds=24)
            assert (await app.api.get(READYZ)).json()["checks"]["chain 1"] == "no block processed yet"
            clock.move(seconds=2)
            answer = await app.api.get(READYZ)
    assert answer.status_code == 503
    told = "no block could be read for 26 s: its nodes can't be reached"
    assert answer.json()["checks"] == {"database": "ok", "descriptors": "ok", "chain 1": told}


async def test_a_stuck_chain_takes_no_new_sessions_until_it_is_read_again(
    anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    clock, node = Clock(), anvil()
    with capture_logs():
        async with open_app(
            tmp_path,
            clock=clock,
            test_mode={"enabled": False},
            wallet={"xpub": FRESH_XPUB},
            prices={"sources": [], "fixed": {"ETH/USD": "3000"}},
            chains=[{"id": ANVIL_CHAIN_ID, "name": "Anvil", "rpc_urls": [node.url], "poll_seconds": 0.05}],
        ) as app:
            api = await app.client(livemode=True)

            async def asked() -> httpx.Response:
                return await api.post("/checkout_sessions", json=PRICE)

            async def sells() -> bool:
                return (await asked()).status_code == 201

            await until(sells, "take payments")
            node.stop()
            (watcher,) = app.opened.watchers
            await until(lambda: watcher.status.error, "miss its node")
            assert await sells(), "an outage may be short"
            clock.move(seconds=30)
            refused = await asked()
            assert (refused.status_code, error(refused)["code"]) == (503, "wallet_not_configured")
            assert "Anvil takes no payments now: no block could be read for 3" in error(refused)["message"]
            assert int(refused.headers["retry-after"]) > 0
            node.start_again()
            await until(sells, "take payments again")


@pytest.mark.sqlite  # the disk of a file
def test_a_full_disk_makes_it_not_ready_and_room_makes_it_ready_again(server: Server) -> None:
    api = server.api
    assert api.post("/payment_links", json=LINK).status_code == 201
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))  # no file may grow: as a full disk does
    try:
        answer = api.get(f"{server.url}/readyz")
        assert answer.status_code == 503
        assert answer.json() == {
            "status": "not ready",
            "leader": "this process",
            "checks": {"database": "can't be written", "descriptors": "ok", "chain 1337": "ok"},
        }
        refused = api.post("/payment_links", json=LINK)
        assert (refused.status_code, error(refused)["code"]) == (503, "internal_error")
        assert int(refused.headers["retry-after"]) > 0
        assert api.get("/payment_links").status_code == 200, "what is there can be read"
        assert api.get(f"{server.url}/healthz").status_code == 200
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    server.wait_until(lambda: api.get(f"{server.url}/readyz").status_code == 200, "be ready again")
    assert api.post("/payment_links", json=LINK).status_code == 201
    assert len(api.get("/payment_links").json()["data"]) == 2


@pytest.mark.sqlite  # the disk of a file
def test_a_full_disk_is_not_blamed_on_the_node(anvil: Callable[..., Anvil], tmp_path: Path) -> None:
    node = anvil()
    shop = LiveServer(tmp_path, node)
    with shop.server as server:

        def checks() -> dict[str, str]:
            answer: dict[str, str] = shop.ready().json()["checks"]
            return answer

        session = shop.sell()
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        shop.pay(session)  # a block without a payment may wait half a minute to be stored
        words = {
            "database": "can't be written",
            "descriptors": "ok",
            "chain 31337": "its blocks can't be stored: the database takes no writes",
        }
        server.wait_until(lambda: checks() == words, "name the disk, and not the node")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        server.wait_until(
            lambda: checks() == {"database": "ok", "descriptors": "ok", "chain 31337": "ok"}, "be ready again"
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as running:
        yield running


def test_an_answer_names_its_date(server: Server) -> None:
    for answer in (server.api.get(f"{server.url}/healthz"), server.api.get("/payment_links")):
        assert abs(parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)) < timedelta(minutes=1)


# --- metrics ---------------------------------------------------------------------------------------------------------


async def metrics(app: App, address: str = "127.0.0.1", token: str | None = None, **headers: str) -> httpx.Response:
    api = await app.anybody(None if token is None else f"Bearer {token}", address=address)
    return await api.get(METRICS, headers={name.replace("_", "-"): value for name, value in headers.items()})


def is_hidden(answer: httpx.Response) -> bool:
    return (answer.status_code, error(answer)["code"]) == (404, "route_not_found")


async def test_metrics_are_in_the_format_of_prometheus(app: App) -> None:
    await app.api.get("/events")
    answer = await metrics(app)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'checkout_http_requests_total{method="GET",route="/api/v1/events",status="200"}' in answer.text
    assert 'checkout_chain_processed_block{chain="1337"}' in answer.text
    assert 'checkout_chain_reorgs_total{chain="1337"} ' in answer.text
    assert 'checkout_events_total{mode="live",type="session.paid"} ' in answer.text
    assert "\nprocess_resident_memory_bytes " in answer.text
    assert "\ncheckout_loop_stall_seconds " in answer.text
    assert f'checkout_build_info{{python="{platform.python_version()}",version="{__version__}"}} 1.0' in answer.text
    assert "_created" not in answer.text


async def test_metrics_say_what_works_and_what_needs_attention(app: App) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    test_helper = "/test_helpers/checkout_sessions"
    assert (await app.api.post(f"{test_helper}/{session['id']}/pay", json={"amount": "0.004"})).is_success
    assert (await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})).is_success
    shown = (await metrics(app)).text
    assert 'checkout_ready{check="database"} 1.0' in shown
    assert 'checkout_ready{check="chain 1337"} 1.0' in shown
    assert 'checkout_issues{kind="underpaid",mode="test"} 1.0' in shown
    assert 'checkout_issues{kind="underpaid",mode="live"} 0.0' in shown


def test_a_table_that_cannot_be_read_leaves_the_other_metrics(tmp_path: Path) -> None:
    with Server(tmp_path):
        pass
    with a_broken_page(tmp_path / "checkout-data" / "checkout.db", "deliveries_due"), Server(tmp_path) as server:
        shown = server.api.get(f"{server.url}/metrics").text
    assert "\ncheckout_deliveries_pending NaN" in shown
    assert "\nprocess_resident_memory_bytes " in shown
    assert 'checkout_ready{check="chain 1337"} 1.0' in shown


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_sees_the_metrics(app: App, address: str) -> None:
    assert (await metrics(app, address)).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:4020", "[::1]:4020", "LOCALHOST:80"])
async def test_this_machine_names_itself_as_it_likes(app: App, host: str) -> None:
    assert (await metrics(app, Host=host)).status_code == 200


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:4020", "localhost.example", "127.0.0.1.nip.io"])
async def test_a_name_that_somebody_pointed_at_this_machine_shows_no_metrics(app: App, host: str) -> None:
    assert is_hidden(await metrics(app, Host=host))


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.1", "192.168.1.1", "2001:db8::7", "fe80::1"])
async def test_no_other_machine_sees_the_metrics(app: App, address: str) -> None:
    assert is_hidden(await metrics(app, address))


@pytest.mark.parametrize("name", ["X_Forwarded_For", "Forwarded", "X_Real_IP", "Via", "X_Forwarded_Host"])
async def test_nobody_sees_the_metrics_through_a_proxy_on_this_machine(app: App, name: str) -> None:
    assert is_hidden(await metrics(app, **{name: "127.0.0.1"}))


async def test_a_trusted_proxy_shows_the_metrics_to_nobody(tmp_path: Path) -> None:
    async with open_app(tmp_path, server={"trusted_proxies": ["127.0.0.1"]}, test_mode={"enabled": False}) as app:
        for chain in ("203.0.113.9", "127.0.0.1", "127.0.0.1, 127.0.0.1", "203.0.113.9, 127.0.0.1", ""):
            assert is_hidden(await metrics(app, X_Forwarded_For=chain))
        assert (await metrics(app)).status_code == 200


async def test_with_the_token_the_metrics_are_seen_from_anywhere(tmp_path: Path) -> None:
    async with open_app(tmp_path, metrics_token="s3cret", test_mode={"enabled": False}) as app:
        for address in ("203.0.113.9", "127.0.0.1"):
            assert (await metrics(app, address, "s3cret", X_Forwarded_For="192.0.2.1")).status_code == 200
            for token in (None, "", "S3cret", "s3cre", "s3cret!", "\u00e9"):
                wrong = await app.anybody(None, address=address)
                headers = [] if token is None else [(b"Authorization", f"Bearer {token}".encode())]
                assert is_hidden(await wrong.get(METRICS, headers=[*headers, (b"X-Forwarded-For", b"192.0.2.1")]))
        assert (await metrics(app)).status_code == 200, "this machine needs no token"


async def test_without_a_token_an_empty_one_opens_nothing(app: App) -> None:
    for token in ("", "None", "null"):
        assert is_hidden(await metrics(app, "203.0.113.9", token))


@pytest.mark.parametrize("public_url", ["https://pay.example.com", "https://203.0.113.5", "http://10.0.0.5:4020"])
async def test_a_server_on_the_internet_shows_its_metrics_by_token_only(tmp_path: Path, public_url: str) -> None:
    server, is_public = {"public_url": public_url}, public_url.startswith("https:")
    async with open_app(tmp_path, server=server, metrics_token="s3cret", test_mode={"enabled": False}) as app:
        answer = await metrics(app)
        assert is_hidden(answer) if is_public else answer.is_success, "plain proxy_pass looks like this machine"
        assert (await metrics(app, token="s3cret")).status_code == 200


async def test_metrics_hold_no_secret(app: App) -> None:
    _, text = await app.key()
    api = await app.anybody(f"Bearer {text}")
    link = (await api.post("/payment_links", json=LINK)).json()
    await api.get(f"/payment_links/{link['id']}")
    shown = (await metrics(app)).text
    for secret in (text, link["id"], link["slug"]):
        assert secret not in shown

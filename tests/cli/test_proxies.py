"""The server behind a real nginx: with the block of the guide everything works, and `doctor` names each mistake."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from crypto_checkout.app import doctor
from crypto_checkout.config import Config
from crypto_checkout.core.diagnosis.checks import Check
from crypto_checkout.http.docs.contents import FOLDER, guide_text
from crypto_checkout.http.entry.client_address import ClientAddresses
from crypto_checkout.services.diagnosis.proxy import FORGED
from crypto_checkout.store.data_folder import server_notes
from tests.conftest import found
from tests.http.test_origins import TWO_COINS
from tests.support import nginx
from tests.support.nginx import Nginx
from tests.support.server import Server
from tests.support.waiting import WAIT_SECONDS

GUIDE = (FOLDER / "proxies.md").read_text("utf-8")
VISITORS = "proxy: X-Forwarded-For"
PLAIN = "location / { proxy_pass http://checkout;"
RIGHT = f"{PLAIN} proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
WRONG = {
    "rewrites Host": (RIGHT.replace("$host", "checkout") + "}", "proxy: Host"),
    "hides its visitors": (f"{PLAIN} proxy_set_header Host $host; proxy_set_header X-Forwarded-For ''; }}", VISITORS),
    "believes its visitors": (f"{PLAIN} proxy_set_header Host $host; }}", VISITORS),
    "drops keys": (f"{RIGHT} proxy_set_header Authorization ''; }}", "proxy"),
    "has files of its own": (f"{RIGHT} }} location ~ \\.js$ {{ root /nonexistent; }}", "proxy: files"),
    "takes short bodies only": (f"{RIGHT} client_max_body_size 8k; }}", "proxy: requests"),
    "takes few methods": (f"{RIGHT} limit_except GET POST {{ deny all; }} }}", "proxy: requests"),
    "has error pages of its own": (
        f"{RIGHT} proxy_intercept_errors on; error_page 401 =401 /50x.html; }} location /50x.html {{ return 401; }}",
        "proxy: requests",
    ),
    "adds a policy": (f"{RIGHT} add_header Content-Security-Policy \"default-src 'self'\"; }}", "proxy: headers"),
}


def block(text: str) -> str:
    """Return the site of the nginx block in a text, as it stands but for its port and its certificate."""
    found_block = re.search(r"^( *)```nginx\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    assert found_block is not None
    site = found_block[2].rpartition("server {\n")[2].rpartition("}")[0]
    return re.sub(r"^ *(listen|ssl_|server_name).*;\n", "", site, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    environ = {
        "CHECKOUT__SERVER__PUBLIC_URL": "https://pay.example",
        "CHECKOUT__SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    with Server(folder, environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def front(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    program = found("nginx", nginx.find(), "there is no nginx: apt-get install nginx-light")
    sites = {"guide": block(GUIDE), "plain": f"{PLAIN} }}", **{name: site for name, (site, _) in WRONG.items()}}
    with Nginx(program, tmp_path_factory.mktemp("nginx"), sites, server.url) as running:
        yield running


def test_the_page_does_not_lead_the_proxy_to_itself() -> None:
    assert guide_text("proxies", "https://pay.example.com") == GUIDE


@pytest.mark.parametrize("site", ["guide", "plain"])
def test_every_form_of_payers_works_behind_nginx_as_an_old_browser_sends_it(
    server: Server, front: Nginx, site: str
) -> None:
    body = {"amount": {"value": "3.00", "currency": "USD"}, "assets": TWO_COINS}
    session = server.api.post("/checkout_sessions", json=body).json()
    link = server.api.post("/payment_links", json={"title": "Tea", "fiatAmount": "3.00"}).json()
    old_browser = {"Origin": "https://pay.example"}
    with httpx.Client(base_url=front.urls[site], headers=old_browser, trust_env=False, timeout=60) as browser:
        page = f"/checkout/{session['id']}"
        for path, form in (
            (f"{page}/choose", {"choice": "1337:ETH"}),
            (f"{page}/test/pay", {}),
            (f"/l/{link['slug']}", {}),
        ):
            answer = browser.post(path, data=form)
            assert (answer.status_code, answer.headers["location"].startswith("/checkout/cs_")) == (303, True), path
            assert browser.post(path, data=form, headers={"Origin": "https://evil.example"}).status_code == 403
    assert server.api.get(f"/checkout_sessions/{session['id']}").json()["status"] != "pending"


async def examined(folder: Path, url: str, *, trusted: str = "127.0.0.1") -> dict[str, Check]:
    config = Config.model_validate(
        {"database": {"path": folder / "checkout-data" / "checkout.db"}, "server": {"trusted_proxies": [trusted]}},
        context={"path": folder / "checkout.toml"},
    )
    return {check.name: check for check in await doctor.public_url(config, url, is_served=True)}


async def test_doctor_finds_nothing_wrong_with_the_block_of_the_guide(folder: Path, front: Nginx) -> None:
    checks = await examined(folder, front.urls["guide"])
    assert {name: check.mark for name, check in checks.items()} == {"public_url": "ok", "proxy": "ok"}


async def test_doctor_sees_that_no_proxy_stands_between(folder: Path, server: Server) -> None:
    assert (await examined(folder, server.url)).keys() == {"public_url"}


def test_what_doctor_claims_is_no_sign_of_a_proxy() -> None:
    met: list[str] = []
    addresses = ClientAddresses([], met.append)
    for forwarded in (FORGED, f"{FORGED}, 203.0.113.9"):
        assert met == []
        headers = [(b"x-forwarded-for", forwarded.encode())]
        assert addresses.of({"type": "http", "client": ("172.17.0.1", 50_000), "headers": headers}) == "172.17.0.1"
    assert met == ["172.17.0.1"]


@pytest.mark.parametrize("site", WRONG)
async def test_doctor_names_what_is_wrong_with_a_proxy_and_nothing_else(folder: Path, front: Nginx, site: str) -> None:
    checks = await examined(folder, front.urls[site])
    wrong = {name for name, check in checks.items() if check.advice is not None}
    assert wrong == {WRONG[site][1]}


async def test_doctor_names_a_proxy_that_is_not_trusted(folder: Path, front: Nginx) -> None:
    checks = await examined(folder, front.urls["guide"], trusted="10.0.0.1")
    assert '"127.0.0.1"' in str(checks[VISITORS].advice)


async def test_doctor_tells_another_server_behind_the_address_from_this_one(tmp_path: Path, front: Nginx) -> None:
    (tmp_path / "checkout-data").mkdir()
    with server_notes.published_doctor_token(tmp_path / "checkout-data"):
        checks = await examined(tmp_path, front.urls["guide"])
    assert checks["proxy"].mark == "fail"
    assert "a different server" in checks["proxy"].what


async def test_doctor_names_http_that_is_not_redirected(front: Nginx) -> None:
    async with httpx.AsyncClient(timeout=WAIT_SECONDS, trust_env=False) as client:
        (check,) = await doctor.plain_http(client, front.urls["guide"].partition("//")[2])
        assert (check.name, check.mark) == ("proxy: http", "warn")
        assert await doctor.plain_http(client, "127.0.0.1:1") == []


def test_only_doctor_is_shown_how_a_request_arrived(server: Server, folder: Path) -> None:
    token = server_notes.doctor_token(folder / "checkout-data")
    with server.client(None) as anybody:
        for authorization in ("Bearer", "Bearer None", f"Basic {token}", f"Bearer {token}x"):
            answer = anybody.get(f"{server.url}/healthz", headers={"Authorization": authorization})
            assert answer.json() == {"status": "ok"}
        assert "request" in anybody.get(f"{server.url}/healthz", headers={"Authorization": f"Bearer {token}"}).json()
    assert (folder / "checkout-data" / "doctor-token").stat().st_mode & 0o077 == 0

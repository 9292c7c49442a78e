"""The documentation: it has all there is, needs nobody's network, and what it tells to type works."""

import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.api.openapi import document
from crypto_checkout.http.api.table import table
from crypto_checkout.http.docs import markdown
from crypto_checkout.http.docs.contents import FOLDER, GUIDES, guide_text
from crypto_checkout.http.docs.reference import Reference
from crypto_checkout.webhooks import signing
from tests.conftest import found
from tests.support.api import App
from tests.support.server import Server
from tests.support.waiting import WAIT_SECONDS

PAGES = ("/docs", "/docs/api", "/docs/search", "/docs/search?q=webhook", *(f"/docs/{name}" for name in GUIDES))
TEXTS = tuple(path.stem for path in sorted(FOLDER.glob("*.md")))
WITHOUT_CODE = frozenset(
    {"basics", "chains", "cold-address", "collect", "commands", "compare", "configuration", "costs", "dashboard"}
    | {
        "first-payment",
        "go-live",
        "monitoring",
        "operate",
        "proxies",
        "receipts",
        "reliability",
        "speed",
        "past-one-machine",
        "postgresql",
        "standby",
        "statuses",
        "threat-model",
    }
    | {"wallets"}
)  # for readers who call no API from a program
STEP_BY_STEP = ("integrate", "test-mode")  # whose shell blocks go on from one another: see tests.http.docs.test_guides
SECRET = signing.new_secret(bytes(range(32)))
BODY = json.dumps({"id": "evt_1", "type": "session.paid", "data": {"id": "cs_1"}}).encode()


class Elements(HTMLParser):
    """The elements of a page, each with its attributes, and the text of each by its id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.found if "id" in attributes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("docs"), "") as running:
        yield running


async def page(app: App, path: str) -> str:
    answer = await (await app.anybody()).get(f"http://shop.example{path}", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


async def test_every_operation_event_and_object_has_a_heading(app: App) -> None:
    elements = Elements(text := await page(app, "/docs/api"))
    described = document(table(), "http://127.0.0.1:4020")
    operations = [o for methods in described["paths"].values() for o in methods.values()]
    assert {operation["operationId"] for operation in operations} <= set(elements.ids)
    assert len(elements.ids) == len(set(elements.ids))
    for operation in operations:
        assert operation["summary"] in text.replace("&#39;", "'")
    for event_type in EventType:
        assert f"<code>{event_type}</code>" in text
    linked = {str(a["href"])[1:] for tag, a in elements.found if tag == "a" and str(a.get("href")).startswith("#")}
    assert linked <= set(elements.ids)


async def test_examples_are_for_this_server(tmp_path: Path) -> None:
    from tests.support.api import open_app

    async with open_app(tmp_path, server={"public_url": "https://pay.example.com"}) as app:
        with_urls = ("/docs/api", *(f"/docs/{name}" for name in GUIDES if name not in WITHOUT_CODE))
        for path in with_urls:
            text = await page(app, path)
            assert "127.0.0.1" not in re.sub(r"127\.0\.0\.1(:8000|&#34;)", "", text), "the reader's own shop is there"
            assert "https://pay.example.com" in text


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_nothing_from_elsewhere(app: App, path: str) -> None:
    elements = Elements(text := await page(app, path))
    for tag, attributes in elements.found:
        assert tag not in {"style", "iframe", "object"}
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag in {"link", "img", "script"}:
            assert str(attributes.get("href") or attributes.get("src")).startswith("/static/")
    assert text.count("<h1") == 1
    answer = await app.api.get(f"http://shop.example{path}")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    again = await app.api.get(f"http://shop.example{path}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_every_link_inside_leads_somewhere(app: App) -> None:
    # All pages in one test: each links to nearly all others, and a new application renders them anew.
    pages = {path: Elements(await page(app, path)) for path in PAGES}
    for path in PAGES:
        targets = {str(attributes.get("href", "")) for tag, attributes in pages[path].found if tag == "a"}
        for target in sorted(each for each in targets if each.startswith(("/", "#"))):
            where, _, place = target.partition("#")
            if (where := where or path) not in pages:
                answer = await app.api.get(f"http://shop.example{where}")
                assert answer.status_code == 200, f"{path} leads to {target}"
                pages[where] = Elements(answer.text)
            assert not place or place in pages[where].ids, f"{path} leads to {target}"


async def test_there_is_no_guide_of_another_name(app: App) -> None:
    for name in ("quick-start", "nothing", "..%2fsecret", "webhooks.md"):
        assert (await app.api.get(f"http://shop.example/docs/{name}")).status_code == 404


def test_guides_are_text_and_html_in_them_is_shown() -> None:
    assert "<script>" not in markdown.render("<script>alert(1)</script>\n\n`<b>`")
    assert set(GUIDES) | {"quick-start"} == set(TEXTS)


# --- what they tell to type works ------------------------------------------------------------------------------------


def code_blocks(text: str, language: str) -> list[str]:
    return [
        token.content for token in markdown._parser().parse(text) if (token.type, token.info) == ("fence", language)
    ]


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in {"integrate", *WITHOUT_CODE}])
def test_the_python_of_a_guide_runs(server: Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert server.key is not None
    monkeypatch.setenv("API_KEY", server.key)
    blocks = code_blocks(guide_text(name, server.url), "python")
    assert blocks
    signed = signing.headers("evt_1", BODY, [SECRET], int(time.time()))
    for block in blocks:
        given = {"body": BODY, "headers": {name.lower(): value for name, value in signed.items()}, "secret": SECRET}
        exec(compile(block, f"{name}.md", "exec"), given)  # noqa: S102 - our own text
        if name == "webhooks":
            event: Any = given["event"]
            assert event["id"] == "evt_1"


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in STEP_BY_STEP])
def test_the_shell_commands_of_a_guide_run(server: Server, name: str) -> None:
    session = server.api.post("/checkout_sessions", json={"amount": {"value": "10.00", "currency": "USD"}}).json()
    endpoint = {"url": "https://shop.example.com/webhooks", "events": ["session.paid"]}
    endpoint_id = server.api.post("/webhook_endpoints", json=endpoint).json()["id"]
    variables = {"SESSION_ID": session["id"], "ENDPOINT_ID": endpoint_id}
    if name == "refunds":
        made = made_objects(server)
        variables |= {"SESSION_ID": made["paid"], "REFUND_ID": made["refunds"]}
    for block in code_blocks(guide_text(name, server.url), "sh"):
        shell(server, block.replace("export API_KEY=ck_test_…", ""), **variables)


def test_the_curl_of_every_operation_is_taken(server: Server) -> None:
    """Each is run as it is printed, but for the made-up id in its address."""
    made = made_objects(server)
    for subject in Reference(document(table(), server.url)).subjects():
        for operation in subject.operations:
            kind = operation.path.removeprefix("/api/v1/").removeprefix("test_helpers/").partition("/")[0]
            text = re.sub(r"/(cs|pl|we|cus|evt|ref|col)_\w+", f"/{made.get(kind)}", operation.curl)
            text = re.sub(r"cs_01KG\w+", str(made["paid"]), text)
            answer = json.loads(shell(server, text, check=False))
            # A session can't be closed and accepted too: being told so is enough.
            assert answer.get("error", {}).get("code") in {None, "session_not_open", "refund_not_open"}, (text, answer)
            if operation.method == "DELETE":
                made = made_objects(server)


def made_objects(server: Server) -> dict[str, str]:
    """Make one of each; return their ids by their kind."""
    bodies: dict[str, Any] = {
        "checkout_sessions": {"amount": {"value": "10.00", "currency": "USD"}},
        "payment_links": {"title": "A book", "fiatAmount": "30.00"},
        "webhook_endpoints": {"url": "https://shop.invalid/", "events": ["*"]},
        "customers": {"email": f"{time.monotonic_ns()}@example.com"},
    }
    made = {kind: server.api.post(f"/{kind}", json=body).json()["id"] for kind, body in bodies.items()}
    paid = server.api.post("/checkout_sessions", json=bodies["checkout_sessions"]).json()["id"]
    server.api.post(f"/test_helpers/checkout_sessions/{paid}/pay")
    server.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    refund = server.api.post("/refunds", json={"sessionId": paid, "amount": "0.001"}).json()["id"]
    collection = server.api.post(f"/test_helpers/checkout_sessions/{paid}/collect").json()["id"]
    made |= {"paid": paid, "refunds": refund, "collections": collection}
    return {**made, "events": server.api.get("/events").json()["data"][0]["id"]}


def shell(server: Server, text: str, *, check: bool = True, **variables: str) -> str:
    """Run a text in bash and return what it printed; every curl in it must be answered well."""
    options = "--fail-with-body" if check else ""
    curl = f'curl() {{ command curl --silent --show-error --noproxy "*" {options} "$@"; }}'
    done = subprocess.run(
        ["bash", "-eu", "-c", f"{curl}\n{text}"],
        env={"PATH": os.environ["PATH"], "API_KEY": server.key or "", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_javascript_of_the_guide_takes_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    node = found("node", shutil.which("node"), "there is no Node.js")
    (block,) = code_blocks(guide_text("webhooks", "http://127.0.0.1:4020"), "javascript")
    (tmp_path / "verified.mjs").write_text(block, "utf-8")
    now = int(time.time())
    mac = hmac.digest(SECRET.encode(), b"%d.%b" % (now - 600, BODY), "sha256").hex()
    cases = {
        "good": signing.headers("evt_1", BODY, [SECRET], now)["X-Webhook-Signature"],
        "two": signing.headers("evt_1", BODY, [signing.new_secret(bytes(32)), SECRET], now)["X-Webhook-Signature"],
        "forged": f"t={now},v1={hashlib.sha256(BODY).hexdigest()}",
        "old": f"t={now - 600},v1={mac}",
    }
    (tmp_path / "try.mjs").write_text(
        f"""
        import {{ verified }} from "./verified.mjs";
        const said = {{}};
        for (const [name, signature] of Object.entries({json.dumps(cases)})) {{
          try {{ said[name] = verified(Buffer.from({json.dumps(BODY.decode())}), signature, {json.dumps(SECRET)}).id; }}
          catch (error) {{ said[name] = error.message; }}
        }}
        console.log(JSON.stringify(said));
        """,
        "utf-8",
    )
    done = subprocess.run(
        [node, "try.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=WAIT_SECONDS
    )
    said = json.loads(done.stdout)
    assert said == {"good": "evt_1", "two": "evt_1", "forged": "not from our payment server", "old": "too old"}

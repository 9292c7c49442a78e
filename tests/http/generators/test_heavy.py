"""What takes longer: clients in TypeScript, Python, Go, PHP and Ruby, linters, a validating proxy, Postman's import."""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.http.api.operations import PREFIX
from tests.support import foreign
from tests.support.ports import free_port
from tests.support.server import Server
from tests.support.waiting import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), "") as running:
        yield running


@pytest.fixture
def document(server: Server, tmp_path: Path) -> Path:
    return foreign.published(server, tmp_path)


# --- TypeScript -------------------------------------------------------------------------------------------------------


def test_hey_api_makes_a_client_that_works(server: Server, document: Path, tmp_path: Path) -> None:
    tool = foreign.node_tool("openapi-ts")
    plugins = ("@hey-api/typescript", "@hey-api/sdk", "@hey-api/client-fetch", "zod")
    (tmp_path / "node_modules").symlink_to(tool.parent.parent)
    foreign.run(tool, "-i", document, "-o", "made", "-p", *plugins, folder=tmp_path)
    use_typescript(server, tool, "hey_api.ts", tmp_path)


def test_orval_makes_clients_that_work(server: Server, document: Path, tmp_path: Path) -> None:
    tool = foreign.node_tool("orval")
    made = {
        client: {"input": document.name, "output": {"target": f"made/{client}.ts", "client": client, "mode": "single"}}
        for client in ("fetch", "zod")
    }
    (tmp_path / "orval.config.cjs").write_text(f"module.exports = {json.dumps(made)};", "utf-8")
    (tmp_path / "node_modules").symlink_to(tool.parent.parent)
    foreign.run(tool, "--config", "orval.config.cjs", folder=tmp_path)
    use_typescript(server, tool, "orval.ts", tmp_path)


def use_typescript(server: Server, tool: Path, program: str, folder: Path) -> None:
    shutil.copy(foreign.PROGRAMS / program, folder / "use.ts")
    foreign.compiled(tool.parent.parent, folder)
    foreign.use(server, shutil.which("node"), "out/use.js", folder=folder)


# --- openapi-generator ------------------------------------------------------------------------------------------------


def generate(language: str, document: Path, folder: Path, *options: str) -> Path:
    """Make a client with openapi-generator; return the folder with it."""
    tool = foreign.python_tool("openapi-generator-cli", "heavy")
    foreign.system_tool("java", "default-jre-headless")
    foreign.run(tool, "generate", "-i", document, "-g", language, "-o", "made", *options, folder=folder)
    return folder / "made"


def test_openapi_generators_python_client_works(server: Server, document: Path, tmp_path: Path) -> None:
    made = generate("python", document, tmp_path)
    python = foreign.python_tool("python", "heavy")
    program = foreign.PROGRAMS / "openapi_generator.py"
    foreign.use(server, python, program, folder=made, environ={"PYTHONPATH": str(made)})


def test_openapi_generators_go_client_works(server: Server, document: Path, tmp_path: Path) -> None:
    go = foreign.system_tool("go", "golang")
    made = generate("go", document, tmp_path)
    module = made / "go.mod"
    module.write_text(re.sub("^module .*", "module example.com/made", module.read_text("utf-8")), "utf-8")
    (made / "use").mkdir()
    shutil.copy(foreign.PROGRAMS / "use.go", made / "use" / "main.go")
    # The client needs no other module, so none is fetched.
    places = {
        "GOCACHE": str(tmp_path / "cache"),
        "GOPATH": str(tmp_path / "go"),
        "GOPROXY": "off",
        "GOFLAGS": "-mod=mod",
    }
    foreign.run(go, "build", "-o", "used", "./use", folder=made, environ=places)
    foreign.use(server, made / "used", folder=made)


def test_openapi_generators_php_client_works(server: Server, document: Path, tmp_path: Path) -> None:
    php = foreign.system_tool("php", "php-cli php-mbstring php-guzzlehttp-guzzle")
    if not Path("/usr/share/php/GuzzleHttp/autoload.php").exists():
        pytest.skip("there is no Guzzle: apt-get install php-guzzlehttp-guzzle")
    made = generate("php", document, tmp_path)
    shutil.copy(foreign.PROGRAMS / "use.php", made)
    foreign.use(server, php, "use.php", folder=made)


def test_openapi_generators_ruby_client_works(server: Server, document: Path, tmp_path: Path) -> None:
    ruby = foreign.system_tool("ruby", "ruby ruby-typhoeus")
    if subprocess.run([ruby, "-e", "require 'typhoeus'"], capture_output=True, check=False).returncode:
        pytest.skip("there is no typhoeus: apt-get install ruby-typhoeus")
    made = generate("ruby", document, tmp_path)
    shutil.copy(foreign.PROGRAMS / "use.rb", made)
    foreign.use(server, ruby, "use.rb", folder=made, environ={"LANG": "C.UTF-8"})
    for path in (made / "lib").rglob("*.rb"):
        foreign.run(ruby, "-c", path, folder=made)


# --- linters, a proxy, Postman ----------------------------------------------------------------------------------------


def test_redocly_has_no_warnings(document: Path, tmp_path: Path) -> None:
    tool = foreign.node_tool("redocly")
    # Its usage reports would need a network.
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    said = foreign.run(tool, "lint", "--format=json", document, folder=tmp_path, environ=quiet)
    assert json.loads(said[said.index("{") : said.rindex("}") + 1])["totals"] == {
        "errors": 0,
        "warnings": 0,
        "ignored": 0,
    }


def test_spectral_has_no_warnings(document: Path, tmp_path: Path) -> None:
    tool = foreign.node_tool("spectral")
    (tmp_path / "rules.yaml").write_text('extends: ["spectral:oas"]\n', "utf-8")
    said = foreign.run(tool, "lint", document, "--ruleset", "rules.yaml", "--format", "json", folder=tmp_path)
    assert json.loads(said[: said.rindex("]") + 1]) == []


@contextlib.contextmanager
def proxy(tool: Path, document: Path, server: Server) -> Iterator[httpx.Client]:
    """Run Prism before a server; it adds a header to every answer that breaks the document, or whose request does."""
    port = free_port()
    log = document.with_name("prism.log")
    with log.open("wb") as output:
        command = [str(tool), "proxy", str(document), server.url, "--port", str(port)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until(
            lambda: "is listening" in log.read_text("utf-8"),
            "start",
            is_running=lambda: process.poll() is None,
            output=lambda: log.read_text("utf-8"),
        )
        headers = {"Authorization": f"Bearer {server.key}"}
        url = f"http://127.0.0.1:{port}{PREFIX}"
        with httpx.Client(base_url=url, headers=headers, timeout=WAIT_SECONDS, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def test_prism_sees_no_violation(server: Server, document: Path) -> None:
    with proxy(foreign.node_tool("prism"), document, server) as client:
        session = {
            "amount": {"value": "10.00", "currency": "USD"},
            "metadata": {"größe": foreign.TEXT},
            "successUrl": "https://münchen.example/h",
            "cancelUrl": "http://[2001:db8::1]/",
        }
        made = _taken(client.post("/checkout_sessions", json=session))
        _taken(client.get(f"/checkout_sessions/{made['id']}"))
        _taken(client.post(f"/test_helpers/checkout_sessions/{made['id']}/pay", json={}))
        link = _taken(client.post("/payment_links", json={"title": foreign.TEXT, "fiatAmount": "1.00"}))
        _taken(client.patch(f"/payment_links/{link['id']}", json={"description": foreign.TEXT}))
        _taken(client.post("/checkout_sessions", json={"linkId": link["id"]}))
        hook = {"url": "https://münchen.example/h", "events": ["session.pending", "session.paid"]}
        _taken(client.post("/webhook_endpoints", json=hook))
        _taken(client.post("/customers", json={"email": "ada@münchen.example", "name": foreign.TEXT}))
        for kind in ("checkout_sessions", "payment_links", "webhook_endpoints", "customers", "events"):
            _taken(client.get(f"/{kind}", params={"limit": 5}))
        _taken(client.get("/events", params={"type": "session.pending"}))
        assert "sl-violations" not in client.get("/customers/cus_1").headers
        wrong = client.post("/checkout_sessions", json={"amount": {"value": 10, "currency": "USD"}})
        assert "amount.value" in wrong.headers["sl-violations"], "it looks"


def _taken(answer: httpx.Response) -> Mapping[str, Any]:
    assert answer.is_success, answer.text
    assert "sl-violations" not in answer.headers, answer.headers["sl-violations"]
    found: Mapping[str, Any] = answer.json()
    return found


def test_postmans_import_sends_examples_that_work(server: Server, document: Path, tmp_path: Path) -> None:
    tool = foreign.node_tool("openapi2postmanv2")
    written = requests(convert(tool, document, "parametersResolution=Schema"))
    keys = [
        header["value"] for request in written for header in request["header"] if header["key"] == "Idempotency-Key"
    ]
    assert len(set(keys)) == len(keys) > 10, "a key of its own for each operation, whatever the import is set to"
    collection = convert(tool, document, "parametersResolution=Example,enableOptionalParameters=false")
    options = ("--env-var", f"bearerToken={server.key}", "--reporters", "json", "--reporter-json-export", "sent.json")
    newman = foreign.node_tool("newman")
    foreign.run(newman, "run", collection, *options, "--suppress-exit-code", folder=tmp_path)
    executions = json.loads((tmp_path / "sent.json").read_text("utf-8"))["run"]["executions"]
    answers = {each["item"]["name"]: each["response"]["code"] for each in executions}
    assert len(answers) == len(written)
    # The objects in the examples' addresses don't exist here.
    assert set(answers.values()) <= {200, 201, 404}, answers
    assert answers["Create a checkout session"] == 201


def convert(tool: Path, document: Path, options: str) -> Path:
    """Convert the document as Postman's import does."""
    path = document.with_name("collection.json")
    foreign.run(tool, "-s", document, "-o", path, "-O", options, folder=document.parent)
    return path


def requests(collection: Path) -> list[Mapping[str, Any]]:
    """Return the requests of a collection."""
    found: list[Mapping[str, Any]] = []
    waiting = json.loads(collection.read_text("utf-8"))["item"]
    while waiting:
        item = waiting.pop()
        waiting += item.get("item", [])
        if "request" in item:
            found.append(item["request"])
    return found

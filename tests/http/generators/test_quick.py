"""What needs seconds: Ajv with its defaults, openapi-python-client and datamodel-code-generator."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import found
from tests.support import foreign
from tests.support.anvil import ROOT
from tests.support.server import Server

AJV = """
const fs = require("fs");
const Ajv = require("ajv/dist/2020").default;
const formats = require("ajv-formats").default;
const { components, paths } = JSON.parse(fs.readFileSync("openapi.json", "utf-8"));
const given = JSON.parse(fs.readFileSync("given.json", "utf-8"));
const ajv = new Ajv();
formats(ajv);
ajv.addKeyword("components");
ajv.addSchema({ $id: "api", components });
const named = (name) => ajv.compile({ $ref: `api#/components/schemas/${name}` });
const faults = [];
const check = (name, value) => {
  const takes = named(name);
  if (!takes(value)) faults.push([name, takes.errors]);
};
for (const name of Object.keys(components.schemas)) named(name);
for (const [name, value] of given) check(name, value);
for (const methods of Object.values(paths))
  for (const operation of Object.values(methods)) {
    const bodies = [operation.requestBody, ...Object.values(operation.responses)];
    for (const body of bodies) {
      const json = body?.content?.["application/json"];
      if (json) check(json.schema.$ref.split("/").pop(), json.example);
    }
  }
console.log(JSON.stringify(faults));
"""
GIVEN = [
    ["LinkCreate", {"title": foreign.TEXT, "fiatAmount": "10.00", "description": f"{foreign.TEXT}\n“”"}],
    ["SessionCreate", {"linkId": "pl_1", "metadata": {"größe": foreign.TEXT}, "successUrl": "https://[2001:db8::1]/"}],
    ["EndpointCreate", {"url": "https://münchen.example/h", "events": ["session.pending"]}],
    ["CustomerCreate", {"email": "ada@münchen.example", "name": foreign.TEXT}],
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), "") as running:
        yield running


def test_ajv_compiles_every_schema_with_its_defaults(server: Server, tmp_path: Path) -> None:
    node = shutil.which("node")
    modules = Path(os.environ.get("CHECKOUT_NODE_MODULES", ROOT / ".cache" / "node" / "node_modules"))
    is_here = node is not None and (modules / "ajv-formats").is_dir()
    found("npm", modules if is_here else None, "there is no Node.js with Ajv: scripts/anvil brings it")
    foreign.published(server, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "given.json").write_text(json.dumps(GIVEN), "utf-8")
    (tmp_path / "check.cjs").write_text(AJV, "utf-8")
    assert json.loads(foreign.run(node, "check.cjs", folder=tmp_path)) == []


def test_openapi_python_client_makes_a_client_that_works(server: Server, tmp_path: Path) -> None:
    tool = foreign.python_tool("openapi-python-client")
    document = foreign.published(server, tmp_path)
    # Its hooks only format.
    (tmp_path / "config.yaml").write_text("post_hooks: []\n", "utf-8")
    options = ("--meta", "none", "--output-path", "made", "--config", "config.yaml", "--fail-on-warning")
    foreign.run(tool, "generate", "--path", document, *options, folder=tmp_path)
    models = {path.stem for path in (tmp_path / "made" / "models").glob("*.py")}
    assert not {name for name in models if "response_4" in name or "response_5" in name}, "errors are one schema"
    foreign.use(
        server,
        tool.with_name("python"),
        foreign.PROGRAMS / "openapi_python_client.py",
        folder=tmp_path,
        environ={"PYTHONPATH": str(tmp_path)},
    )


def test_datamodel_code_generator_makes_models_that_take_what_the_server_says(server: Server, tmp_path: Path) -> None:
    tool = foreign.python_tool("datamodel-codegen")
    document = foreign.published(server, tmp_path)
    options = ("--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin")
    files = ("--input", document, "--input-file-type", "openapi", "--output", "made.py")
    foreign.run(tool, *files, *options, folder=tmp_path)
    body = {"amount": {"value": "10.00", "currency": "USD"}, "metadata": {"größe": foreign.TEXT}}
    session = server.api.post("/checkout_sessions", json=body).json()
    (tmp_path / "given.json").write_text(json.dumps([body, session]), "utf-8")
    program = (
        "import json, made; body, session = json.load(open('given.json'));"
        "made.SessionCreate.model_validate(body);"
        "shown = made.Session.model_validate(session); print(shown.id, shown.metadata['größe'])"
    )
    said = foreign.run(tool.with_name("python"), "-c", program, folder=tmp_path)
    assert said == f"{session['id']} {foreign.TEXT}\n"

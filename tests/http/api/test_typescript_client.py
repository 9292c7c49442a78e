"""A client that others' tools make from `/openapi.json`: it compiles under `tsc --strict`, and works."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import found
from tests.support.anvil import ROOT
from tests.support.server import Server

BROUGHT = ROOT / ".cache" / "node" / "node_modules"
PACKAGES = ("openapi-typescript", "openapi-fetch", "typescript")
GENERATOR = "openapi-typescript/bin/cli.js"
COMPILER = "typescript/bin/tsc"

PROGRAM = """
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const [baseUrl = "", key = ""] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

function given<T>(answer: { data?: T; error?: components["schemas"]["Error"] }): T {
  if (answer.data === undefined) throw new Error(answer.error?.error.code ?? "no answer");
  return answer.data;
}

const session: components["schemas"]["Session"] = given(
  await api.POST("/api/v1/checkout_sessions", {
    params: { header: { "Idempotency-Key": "order-1" } },
    body: { amount: { value: "10.00", currency: "USD" }, metadata: { order: "1" } },
  }),
);
const link = given(
  await api.POST("/api/v1/payment_links", {
    body: { title: "A book", fiatAmount: "30.00" },
  }),
);
const changed = given(
  await api.PATCH("/api/v1/payment_links/{id}", { params: { path: { id: link.id } }, body: { title: "Two books" } }),
);
const shown = given(await api.GET("/api/v1/checkout_sessions/{id}", { params: { path: { id: session.id } } }));
const list = given(
  await api.GET("/api/v1/checkout_sessions", { params: { query: { status: "pending", limit: 10 } } }),
);
const refused = await api.GET("/api/v1/customers/{id}", { params: { path: { id: "cus_1" } } });
const events = given(await api.GET("/api/v1/events", {}));

function told(event: components["schemas"]["SessionEvent"]): string {
  return `${event.type} ${event.data.status}`;
}

console.log(
  JSON.stringify({
    same: shown.id === session.id && shown.amount.units === session.amount.units,
    listed: list.data.map((each) => each.id).includes(session.id),
    more: list.hasMore,
    title: changed.title,
    code: refused.error?.error.code,
    types: events.data.map((each) => each.type).sort(),
    told: told(events.data.find((each) => each.type === "session.created") as components["schemas"]["SessionEvent"]),
  }),
);
"""

WRONG = """
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const api = createClient<paths>({ baseUrl: "" });
await api.POST("/api/v1/checkout_sessions", { body: { amount: { value: 10, currency: "USD" } } });
await api.POST("/api/v1/checkout_sessions", { body: { amount: { value: "10", currency: "XTS" } } });
await api.POST("/api/v1/payment_links", { body: { title: "A book" } });
await api.GET("/api/v1/checkout_session");
"""


@pytest.fixture(scope="module")
def tools() -> tuple[Path, Path]:
    """Return Node.js and the folder with the npm packages."""
    node = shutil.which("node")
    modules = Path(os.environ.get("CHECKOUT_NODE_MODULES", BROUGHT))
    are_here = node is not None and all((modules / package).is_dir() for package in PACKAGES)
    reason = "there is no Node.js with openapi-typescript: scripts/anvil brings it, or name a CHECKOUT_NODE_MODULES"
    return found("npm", (Path(node), modules) if node and are_here else None, reason)


def test_a_generated_client_compiles_and_works(tools: tuple[Path, Path], tmp_path: Path) -> None:
    node, modules = tools
    project = make_project(modules, tmp_path / "client")
    (tmp_path / "server").mkdir()
    with Server(tmp_path / "server", "") as server:
        generated = [f"{server.url}/openapi.json", "--output", "api.d.ts", "--default-non-nullable", "false"]
        run(node, modules / GENERATOR, generated, project)
        (project / "program.ts").write_text(PROGRAM, "utf-8")
        compiled = run(node, modules / COMPILER, ["--project", "tsconfig.json"], project)
        assert compiled == ""
        said = json.loads(run(node, project / "program.js", [server.url, str(server.key)], project))
    assert said == {
        "same": True,
        "listed": True,
        "more": False,
        "title": "Two books",
        "code": "resource_not_found",
        "types": ["api_key.created", "payment_link.created", "payment_link.updated", "session.created"],
        "told": "session.created pending",
    }
    (project / "program.ts").write_text(WRONG, "utf-8")
    refused = run(node, modules / COMPILER, ["--project", "tsconfig.json"], project, code=2)
    for line in range(6, 10):
        assert f"program.ts({line}," in refused


def make_project(modules: Path, folder: Path) -> Path:
    folder.mkdir()
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    (folder / "globals.d.ts").write_text("declare const process: { argv: string[] };\n", "utf-8")
    options = {
        "strict": True,
        "noUncheckedIndexedAccess": True,
        "exactOptionalPropertyTypes": True,
        "module": "nodenext",
        "moduleResolution": "nodenext",
        "target": "es2022",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [],
    }
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["*.ts"]}), "utf-8")
    return folder


def run(node: Path, program: Path, arguments: Sequence[str], folder: Path, *, code: int = 0) -> str:
    """Run a program of Node.js and return what it printed."""
    done = subprocess.run(
        [str(node), str(program), *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "no_proxy": "*", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout

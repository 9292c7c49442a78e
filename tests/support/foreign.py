"""Foreign tools for the OpenAPI document, and the clients they generate: found, run, and used on a server."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import found
from tests.support.anvil import ROOT
from tests.support.server import Server

BROUGHT = ROOT / ".cache" / "foreign"
PROGRAMS = Path(__file__).with_name("generators")
"""One program for each generated client: makes a session, reads it, lists, and is refused; prints what it saw."""

TEXT = "Überraschung ☕"


def python_tool(name: str, lock: str = "quick") -> Path:
    """Return a program of `scripts/foreign/*.lock`, or skip the test."""
    path = BROUGHT / "python" / "bin" / name
    is_here = path.exists() and (BROUGHT / f"{lock}.installed").exists()
    more = "" if lock == "quick" else " --all"
    return found("generators", path if is_here else None, f"there is no {name}: scripts/generators{more} brings it")


def node_tool(name: str) -> Path:
    """Return a program of `scripts/foreign/package-lock.json`, or skip the test."""
    path = BROUGHT / "node" / "node_modules" / ".bin" / name
    is_here = shutil.which("node") is not None and (BROUGHT / "node.installed").exists() and path.exists()
    return found("generators", path if is_here else None, f"there is no {name}: scripts/generators --all brings it")


def system_tool(name: str, package: str) -> Path:
    """Return a program of the system, or skip the test."""
    path = shutil.which(name)
    return found("generators", Path(path) if path else None, f"there is no {name}: apt-get install {package}")


def run(*command: object, folder: Path, environ: Mapping[str, str] | None = None, code: int = 0) -> str:
    """Run a program and return its output; fail with all of it at another exit code."""
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == code, f"{command[0]}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def published(server: Server, folder: Path) -> Path:
    """Write a server's document to a file."""
    path = folder / "openapi.json"
    path.write_bytes(server.client(None).get(f"{server.url}/openapi.json").content)
    return path


def use(server: Server, *command: object, folder: Path, environ: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """Run a program of PROGRAMS on a server, and check that it saw what the server has."""
    said: dict[str, Any] = json.loads(run(*command, server.url, server.key, folder=folder, environ=environ))
    session = server.api.get(f"/checkout_sessions/{said['id']}").json()
    assert session["metadata"] == {"größe": TEXT}
    assert session["amount"]["asset"] == "ETH"
    assert session["customerEmail"] == "ada@example.com"
    assert (said["status"], said["text"], said["url"]) == (session["status"], TEXT, "https://münchen.example/h")
    assert said["id"] in said["listed"]
    assert said["code"] == "resource_not_found"
    return said


def compiled(modules: Path, folder: Path) -> None:
    """Compile a folder of TypeScript under `--strict`, into its folder `out`; `node_modules` is there."""
    (folder / "globals.d.ts").write_text("declare const process: { argv: string[] };\n", "utf-8")
    chosen = {
        "strict": True, "target": "es2022", "module": "commonjs", "moduleResolution": "node10",
        "lib": ["es2022", "dom", "dom.iterable"], "types": [], "skipLibCheck": True, "outDir": "out",
    }  # fmt: skip
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": chosen, "include": ["*.ts", "made"]}), "utf-8")
    run(shutil.which("node"), modules / "typescript/bin/tsc", "--project", ".", folder=folder)

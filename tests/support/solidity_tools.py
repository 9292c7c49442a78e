"""forge, halmos and slither for tests of Solidity: a project in a folder of the test's, compiled by npm's solc.

`scripts/anvil` brings forge from npm; `scripts/proofs` brings the others from PyPI, into an environment of their own.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.anvil import ROOT
from tests.support.solidity import Compiler

TESTS = ROOT / "tests" / "core" / "collect" / "solidity"
SOURCE = ROOT / "crypto_checkout" / "core" / "collect" / "Collect.sol"

# forge's solc, played by npm's: only what forge asks of it. The answer goes through a file, because that program ends
# before a pipe has taken all of it, and begins at the brace, because a line about a missing solver may come first.
SOLC = """#!/bin/sh
case " $* " in
    *' --version '*) {node} {program} --version ;;
    *)
        answer=$(mktemp)
        {node} {program} --standard-json >"$answer"
        sed -n '/^{{/,$p' "$answer"
        rm -f "$answer"
        ;;
esac
"""
SETTINGS = """[profile.default]
solc = "./solc"
evm_version = "paris"
optimizer = true
optimizer_runs = 200
bytecode_hash = "none"
cbor_metadata = false
offline = true

[profile.default.fuzz]
runs = {fuzz_runs}
seed = "0x{seed:x}"

[profile.default.invariant]
runs = {invariant_runs}
depth = 100
"""


@dataclass(frozen=True)
class Project:
    """A folder with the contracts, their tests, and the tools that try them."""

    folder: Path
    forge: Path

    def run(self, program: str | Path, *arguments: str, seconds: int) -> "subprocess.CompletedProcess[str]":
        """Run a program there; forge is on its path."""
        path = f"{self.forge.parent}:{os.environ['PATH']}"
        return subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def find_forge() -> Path | None:
    """Return the forge named in CHECKOUT_FORGE, or else the one that `scripts/anvil` brought."""
    named = os.environ.get("CHECKOUT_FORGE")
    brought = sorted(ROOT.glob(".cache/node/node_modules/@foundry-rs/forge-*/bin/forge"))
    found = shutil.which(named) if named else next(iter(brought), None)
    return Path(found) if found else None


def project(
    folder: Path,
    forge: Path,
    compiler: Compiler,
    *,
    changes: Sequence[tuple[str, str]] = (),
    fuzz_runs: int = 32,
    invariant_runs: int = 12,
    seed: int = 1,
) -> Project:
    """Make a project of the contracts and their tests; `changes` are made in the contracts, each in one place."""
    for name in ("src", "test"):
        (folder / name).mkdir()
    for path in TESTS.iterdir():
        shutil.copy(path, folder / "test")
    source = SOURCE.read_text("utf-8")
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
        source = source.replace(old, new)
    (folder / "src" / SOURCE.name).write_text(source, "utf-8")
    settings = SETTINGS.format(fuzz_runs=fuzz_runs, invariant_runs=invariant_runs, seed=seed)
    (folder / "foundry.toml").write_text(settings, "utf-8")
    (folder / "solc").write_text(SOLC.format(node=compiler.node, program=compiler.program), "utf-8")
    (folder / "solc").chmod(0o755)
    return Project(folder, forge)

"""The contracts themselves: fuzzed by forge, proven by halmos, read by slither; their tests notice changes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import found
from tests.support import solidity, solidity_tools
from tests.support.solidity_tools import Project

MUTANTS = {
    "the Forwarder alone collects": ("if eq(extcodesize(address()), 71) {", "if gt(extcodesize(address()), 70) {"),
    "the destination is read from calldata": ("extcodecopy(address(), 12, 51, 20)", "calldatacopy(12, 48, 20)"),
    "any answer of a token is success": ("and(gt(returndatasize(), 31), eq(mload(0), 1))", "gt(returndatasize(), 31)"),
    "no answer of a token is failure": ("or(iszero(returndatasize()), ", "or(0, "),
    "a failure is no failure": ("if (!ok) revert NotSent(token);", "ok;"),
    "an item may use all gas": ("call(ITEM_GAS, deposit", "call(gas(), deposit"),
    "an item may have too little gas": (
        "                _need();\n                bytes32 salt",
        "                bytes32 salt",
    ),
    "a destination gets no gas to take the coin": ("call(gas(), destination, amount", "call(0, destination, amount"),
    "half a balance is sent": ("{ amount := mload(0) }", "{ amount := div(mload(0), 2) }"),
    "plain coin runs the clone": ('hex"36600557005b"', 'hex"5b5b5b5b5b5b"'),
}


# Nothing to collect is meant by `amount == 0`; assembly and its selectors are the point of these contracts.
EXPECTED_OF_SLITHER = {"incorrect-equality", "assembly", "too-many-digits"}


@pytest.fixture(scope="module")
def tools(solc: solidity.Compiler) -> tuple[Path, solidity.Compiler]:
    return found("forge", solidity_tools.find_forge(), "there is no forge: scripts/anvil brings it"), solc


@pytest.fixture
def proofs() -> Path:
    """Return the folder of the programs that `scripts/proofs` brings."""
    named = os.environ.get("CHECKOUT_PROOFS")
    return found("proofs", Path(named) if named else None, "there is no halmos: scripts/test --all brings it")


def outcomes(project: Project) -> Iterator[tuple[str, str]]:
    """Run all tests; yield the name and the outcome of each."""
    done = project.run(project.forge, "test", "--json", seconds=600)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    suites: dict[str, Any] = json.loads(done.stdout)
    for suite in suites.values():
        for name, result in suite["test_results"].items():
            yield name, result["status"]


def test_the_contracts_pass_their_own_tests(tools: tuple[Path, solidity.Compiler], tmp_path: Path) -> None:
    passed = dict(outcomes(solidity_tools.project(tmp_path, *tools)))

    assert {name for name, outcome in passed.items() if outcome != "Success"} == set()
    assert len(passed) == 16


@pytest.mark.heavy
def test_the_contracts_pass_them_with_many_more_inputs(tools: tuple[Path, solidity.Compiler], tmp_path: Path) -> None:
    project = solidity_tools.project(tmp_path, *tools, fuzz_runs=2_000, invariant_runs=256, seed=2)

    assert {name for name, outcome in outcomes(project) if outcome != "Success"} == set()


@pytest.mark.heavy
@pytest.mark.parametrize("name", MUTANTS)
def test_a_change_of_the_contracts_is_noticed(tools: tuple[Path, solidity.Compiler], tmp_path: Path, name: str) -> None:
    project = solidity_tools.project(tmp_path, *tools, changes=[MUTANTS[name]], fuzz_runs=256)

    assert any(outcome == "Failure" for _, outcome in outcomes(project)), name


@pytest.mark.heavy
def test_for_every_calldata_and_caller_money_goes_to_the_destination_or_stays(
    tools: tuple[Path, solidity.Compiler], proofs: Path, tmp_path: Path
) -> None:
    project = solidity_tools.project(tmp_path, *tools)
    assert project.run(project.forge, "build", "--ast", seconds=300).returncode == 0
    done = project.run(proofs / "halmos", "--contract", "CheckCollect", seconds=1_800)

    assert "2 passed; 0 failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.heavy
def test_slither_finds_nothing_new(tools: tuple[Path, solidity.Compiler], proofs: Path, tmp_path: Path) -> None:
    project = solidity_tools.project(tmp_path, *tools)
    report = tmp_path / "slither.json"
    done = project.run(proofs / "slither", ".", "--filter-paths", "test", "--json", str(report), seconds=600)

    assert report.exists(), done.stdout + done.stderr
    detected = json.loads(report.read_text("utf-8"))["results"].get("detectors", [])
    assert {each["check"] for each in detected} <= EXPECTED_OF_SLITHER

"""`crypto-checkout demo`, on a real node: what it shows, and that it leaves nothing behind."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from crypto_checkout.cli import demo as room
from crypto_checkout.cli import main
from crypto_checkout.cli.demo.columns import side_by_side
from crypto_checkout.cli.demo.scenarios import ENDS, ScenarioResult
from crypto_checkout.core.sandbox import Scenario
from tests.services.sandbox.test_scenarios import OUTCOMES
from tests.support.server import PROGRAM, command, environment
from tests.support.waiting import WAIT_SECONDS

STEPS = [
    "chain started",
    "server started",
    "endpoint created",
    "link created",
    "session created",
    "webhook received",
    "transaction sent",
    "detected",
    "webhook received",
    "confirmed",
    "paid",
    "webhook received",
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder in which the demo makes its own; that and every process are gone afterwards."""
    (tmp_path / "tmp").mkdir()
    yield tmp_path
    assert list((tmp_path / "tmp").iterdir()) == []
    assert running_in(tmp_path) == []


def running_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that got this folder for their temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text("utf-8"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is somebody else's
    return found


def surroundings(folder: Path, anvil: Path | str) -> dict[str, str]:
    return {"TMPDIR": str(folder / "tmp"), "CHECKOUT_ANVIL": str(anvil)}


def test_it_goes_from_the_link_to_the_signed_webhook(folder: Path, anvil_path: Path) -> None:
    done = command(folder, "demo", environ=surroundings(folder, anvil_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    assert [name for name, _ in groupby(re.findall(r"^ +\d+\.\d\d s  (.+?)  ", done.stdout, re.MULTILINE))] == STEPS
    assert re.findall(r"confirmed +(\d of \d)", done.stdout) == ["1 of 3", "2 of 3", "3 of 3"]
    assert re.search(r"session\.paid, signature valid\n +evt_\w{26}\n", done.stdout)
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    last = done.stdout.splitlines()[-1]
    assert "crypto-checkout init" in last
    assert "crypto-checkout serve" in last
    assert sorted(path.name for path in folder.iterdir()) == ["tmp"]


def test_programs_get_the_same_as_json(folder: Path, anvil_path: Path) -> None:
    done = command(folder, "demo", "--json", environ=surroundings(folder, anvil_path))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["failedStep"], told["problem"], told["log"]) == (True, None, None, [])
    timeline = told["timeline"]
    assert [name for name, _ in groupby(step["step"] for step in timeline)] == STEPS
    assert all(earlier["seconds"] <= later["seconds"] for earlier, later in pairwise(timeline))
    by_name = {step["step"]: step for step in timeline}
    assert by_name["session created"]["amount"] == "0.01 ETH"
    assert by_name["session created"]["id"] == by_name["paid"]["id"]
    assert by_name["transaction sent"]["txHash"] == by_name["detected"]["txHash"]
    assert [(s["type"], s["signatureValid"]) for s in timeline if s["step"] == "webhook received"] == [
        ("session.created", True),
        ("session.detected", True),
        ("session.paid", True),
    ]


def test_the_users_own_configuration_is_left_alone(folder: Path, anvil_path: Path) -> None:
    (folder / "checkout.toml").write_text("this is no TOML", "utf-8")
    wrong = {"CHECKOUT__SERVER__PORT": "nonsense", "CHECKOUT_CONFIG": "/there/is/none.toml"}
    done = command(folder, "demo", environ={**surroundings(folder, anvil_path), **wrong})
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_anvil_it_says_how_to_get_it(folder: Path) -> None:
    done = command(folder, "demo", environ=surroundings(folder, "/there/is/no/anvil"))
    assert done.returncode == 1
    assert not done.stdout
    assert "CHECKOUT_ANVIL names /there/is/no/anvil, which can't be run" in done.stderr
    assert "scripts/demo" in done.stderr


def test_a_failure_names_its_step_and_shows_what_was_said_last(folder: Path) -> None:
    broken = folder / "broken-anvil"
    broken.write_text("#!/bin/sh\necho I am broken\nexit 3\n", "utf-8")
    broken.chmod(0o755)
    done = command(folder, "demo", environ=surroundings(folder, broken))
    assert done.returncode == 1
    assert 'Failed at "chain started": anvil ended with code 3.' in done.stderr
    assert "anvil: I am broken" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_is_told_to_programs_too(folder: Path) -> None:
    done = command(folder, "demo", "--json", environ=surroundings(folder, "/bin/false"))
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "ok": False,
        "failedStep": "chain started",
        "problem": "anvil ended with code 1.",
        "timeline": [],
        "log": [],
    }


@pytest.mark.process
def test_it_ends_at_its_deadline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = folder / "silent-anvil"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n", "utf-8")
    silent.chmod(0o755)
    monkeypatch.setattr(room, "_DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    done = CliRunner().invoke(main, ["demo"], env=surroundings(folder, silent))
    assert done.exit_code == 1
    assert 'Failed at "chain started": It did not finish within 0.2 s.' in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing_behind(folder: Path, anvil_path: Path, how: signal.Signals) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "demo"],
        cwd=folder,
        env=environment(surroundings(folder, anvil_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any("chain started" in line for line in process.stdout)
    process.send_signal(how)
    _, said = process.communicate(timeout=WAIT_SECONDS)
    # Python ends by SIGINT where the interrupt came within exec(), as it makes a dataclass, handled or not.
    assert process.returncode in {1, -signal.SIGINT}
    # Where it came within an import, Python says before that it left the module's file open.
    assert said.strip().splitlines()[-1] == "Aborted!"
    assert "KeyboardInterrupt" not in said


# --- every scenario on the simulated chain ---------------------------------------------------------------------------


def without_node(folder: Path) -> dict[str, str]:
    """Return surroundings in which there is no anvil, and no program that would bring one."""
    return {"TMPDIR": str(folder / "tmp"), "PATH": str(folder), "CHECKOUT_CONFIG": "/there/is/none.toml"}


def test_the_ends_of_the_scenarios_are_those_that_are_tested() -> None:
    in_eth = [outcome for outcome in OUTCOMES if outcome.asset == "ETH"]
    assert {each.scenario: (each.status, f"created {each.events}") for each in in_eth} == ENDS


def test_the_sandbox_shows_every_scenario_without_a_node(folder: Path) -> None:
    done = command(folder, "demo", "--sandbox", environ={**without_node(folder), "COLUMNS": "100"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii()
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert [each.split() for each in lines[:1] + lines if each.split()[:1] == ["exact"]] == [list(Scenario)[:4]]
    assert {word for each in lines for word in each.split()} >= set(Scenario)
    for status in ("paid", "paid_late", "underpaid", "overpaid", "expired", "failed", "reorged", "late_payment"):
        assert status in done.stdout
    assert lines[-1].startswith("All 11 ended as expected after ")
    assert sorted(path.name for path in folder.iterdir()) == ["tmp"]


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_it_takes_the_width_that_there_is(columns: int) -> None:
    told = [ScenarioResult(scenario, "paid", "1 of 1 ETH", ((0, "created"), (1.5, "paid"))) for scenario in Scenario]
    lines = [click.unstyle(line) for line in side_by_side(told, columns, rule="-")]
    assert max(map(len, lines)) <= max(columns, 22)
    assert sum(line.count("1500 ms  paid") for line in lines) == len(Scenario)


def test_the_sandbox_tells_programs_too(folder: Path) -> None:
    done = command(folder, "demo", "--sandbox", "--json", environ=without_node(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["problems"], told["log"]) == (True, [], [])
    for each in told["scenarios"]:
        types = [event["type"].removeprefix("session.") for event in each["events"]]
        assert (each["status"], " ".join(types)) == ENDS[each["scenario"]]
        assert each["events"][0]["seconds"] == 0
        assert all(earlier["seconds"] <= later["seconds"] for earlier, later in pairwise(each["events"]))


@pytest.mark.process
def test_an_end_that_should_be_another_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crypto_checkout.cli.demo.scenarios.ENDS", {**ENDS, Scenario.LATE: ("paid", "created paid")})
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    done = CliRunner().invoke(main, ["demo", "--sandbox"], env=without_node(folder))
    assert done.exit_code == 1
    assert "late: paid_late after created expired detected paid_late; it should be paid after" in done.stderr
    assert "All 11" not in done.stdout

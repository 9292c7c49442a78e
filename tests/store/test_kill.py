"""The database after its process was killed: every answered unit is there, and none by halves."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from crypto_checkout.store.migrate import migrate
from tests.support import kill_writer

KILLS = 50
MOST_ANSWERS_BEFORE_A_KILL = 400


def killed_after(path: Path, answers: int) -> list[int]:
    """Run a writer, kill it after so many answers, and return all that it gave."""
    command = [sys.executable, "-m", "tests.support.kill_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            lines = [writer.stdout.readline() for _ in range(1 + answers)]
        finally:
            writer.kill()
        lines += writer.stdout.readlines()
    assert lines[0] == "open\n"
    return [int(line) for line in lines[1:] if line.endswith("\n")]


def test_fifty_kills_lose_no_answered_unit_and_leave_no_half_one(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)
    chance = random.Random(50)
    answered: list[int] = []
    unanswered = 0
    for _ in range(KILLS):
        before = kill_writer.stored(path)
        answers = killed_after(path, chance.randint(0, MOST_ANSWERS_BEFORE_A_KILL))
        after = kill_writer.stored(path)
        assert len(set(answers)) == len(answers)
        assert set(answers) <= set(range(before, after))
        unanswered += after - before - len(answers)
        answered += answers
    assert len(set(answered)) == len(answered)
    figures = {"kills": KILLS, "answered": len(answered), "stored, but killed before the answer": unanswered}
    for name, figure in figures.items():
        record_property(name, figure)
    print(figures)  # noqa: T201

"""The database after its process was killed: every answered unit is there, and none by halves."""

import random
from collections.abc import Callable
from pathlib import Path

from crypto_checkout.store.migrate import migrate
from tests.support import kill_writer

KILLS = 50
MOST_ANSWERS_BEFORE_A_KILL = 400


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
        answers = kill_writer.killed_after(chance.randint(0, MOST_ANSWERS_BEFORE_A_KILL), str(path))
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

"""The steps of the setup that were done, and whether the owner dismissed the rest."""

from collections.abc import Iterable

from crypto_checkout.core import moments
from crypto_checkout.core.owner.setup import SetupProgress, SetupStep
from crypto_checkout.store.database import ReadUnit, WriteUnit

_DISMISSED = "dismissed"


def progress(unit: ReadUnit) -> SetupProgress:
    """Return what is recorded."""
    marks = {row["name"]: moments.from_text(row["at"]) for row in unit.all("SELECT name, at FROM setup_marks")}
    return SetupProgress({step: marks[step] for step in SetupStep if step in marks}, _DISMISSED in marks)


def mark_done(unit: WriteUnit, steps: Iterable[SetupStep]) -> None:
    """Record steps as done now. Repeating is safe: the first time stays."""
    for step in steps:
        _mark(unit, step)


def set_dismissed(unit: WriteUnit, *, dismissed: bool) -> None:
    """Record that the owner dismissed the setup, or resumed it."""
    if dismissed:
        _mark(unit, _DISMISSED)
    else:
        unit.run("DELETE FROM setup_marks WHERE name = :name", {"name": _DISMISSED})


def _mark(unit: WriteUnit, name: str) -> None:
    unit.run(
        "INSERT INTO setup_marks (name, at) VALUES (:name, :now) ON CONFLICT (name) DO NOTHING",
        {"name": name, "now": unit.now_text},
    )

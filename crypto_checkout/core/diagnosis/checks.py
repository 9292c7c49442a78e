"""What `doctor` finds: one line for each thing that an operator can get wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How bad it is: `fail` keeps money from being taken or counted rightly, `warn` may."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One check: `what` was found, and the `advice` that mends it, where something is to be done."""

    name: str
    mark: Mark
    what: str
    advice: str | None = None


def ok(name: str, what: str) -> Diagnosis:
    """Say that something is as it should be."""
    return Diagnosis(name, Mark.OK, what)


def warn(name: str, what: str, advice: str) -> Diagnosis:
    """Say what may go wrong."""
    return Diagnosis(name, Mark.WARN, what, advice)


def fail(name: str, what: str, advice: str) -> Diagnosis:
    """Say what is wrong."""
    return Diagnosis(name, Mark.FAIL, what, advice)

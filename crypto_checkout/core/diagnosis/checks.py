"""What `doctor` finds: one line for each thing that an operator can get wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is: `fail` keeps money from being taken or counted rightly, `warn` may."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `what` was found, and the `advice` that mends it, where something is to be done."""

    name: str
    mark: Severity
    what: str
    advice: str | None = None


def ok(name: str, what: str) -> Check:
    """Say that something is as it should be."""
    return Check(name, Severity.OK, what)


def warn(name: str, what: str, advice: str) -> Check:
    """Say what may go wrong."""
    return Check(name, Severity.WARN, what, advice)


def fail(name: str, what: str, advice: str) -> Check:
    """Say what is wrong."""
    return Check(name, Severity.FAIL, what, advice)

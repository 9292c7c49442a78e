"""Results of `doctor`'s checks, one for each thing that an operator can get wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """The severity of a result: `fail` keeps payments from being taken or counted correctly, `warn` may do so."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `what` it found, and the `advice` that fixes it, if there is something to fix."""

    name: str
    mark: Severity
    what: str
    advice: str | None = None


def ok(name: str, what: str) -> Check:
    """Report that a check passed."""
    return Check(name, Severity.OK, what)


def warn(name: str, what: str, advice: str) -> Check:
    """Report something that may go wrong."""
    return Check(name, Severity.WARN, what, advice)


def fail(name: str, what: str, advice: str) -> Check:
    """Report something that is wrong."""
    return Check(name, Severity.FAIL, what, advice)

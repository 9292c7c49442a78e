"""The steps that take an installation back. The data stays, whatever happens: money may still come to its addresses."""

from collections.abc import Iterator
from pathlib import Path

from crypto_checkout.cli.install import service, unit
from crypto_checkout.cli.install.places import UNIT, USER, Program, installed_program
from crypto_checkout.cli.install.plan import Step
from crypto_checkout.cli.support.setup import fail


def steps() -> list[Step]:
    """Return what is left to take back, in order.

    The unit goes last: it is what says where the program is, so what is interrupted can be run again.
    """
    if not UNIT.exists():
        return []
    text = UNIT.read_text("utf-8")
    if not text.startswith(unit.MARK):
        fail(f"{UNIT} was written by hand, not by `install`. Nothing was changed.")
    return [*_stop(), *_program(unit.program_of(text)), *_unit()]


def _stop() -> Iterator[Step]:
    now = service.state()
    if now.is_active or now.is_enabled:
        command = ("systemctl", "disable", "--now", USER)
        yield Step(
            "stop the server, and don't start it with the machine any more",
            " ".join(command),
            lambda: service.run(*command),
        )


def _program(path: Path | None) -> Iterator[Step]:
    program = installed_program(path)
    if program is not None:
        names = [each for each in (program.path, program.previous) if each.exists()]
        if names:
            listed = " ".join(map(str, names))
            yield Step(f"remove {' and '.join(map(str, names))}", f"rm {listed}", lambda: _remove(program))


def _unit() -> Iterator[Step]:
    def do() -> None:
        UNIT.unlink(missing_ok=True)
        service.run("systemctl", "daemon-reload")

    yield Step(f"remove {UNIT}", f"rm {UNIT} && systemctl daemon-reload", do)


def _remove(program: Program) -> None:
    for path in (program.previous, program.path):
        path.unlink(missing_ok=True)

"""The files that travel between `collect plan`, `collect sign` and `collect send`."""

from pathlib import Path
from typing import TYPE_CHECKING

from crypto_checkout.cli.support.setup import fail

if TYPE_CHECKING:
    from crypto_checkout.core.collect.plan_file import SignedPlan


def write(path: Path, text: str) -> None:
    """Write a new file; never over another one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{path} already exists. Name another file with --out, or move this one away.")
    except OSError as error:
        fail(f"{path} can't be written: {error.strerror or error}.")


def read(path: Path) -> str:
    """Read a file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.")


def read_signed(path: Path) -> "SignedPlan":
    """Read a signed plan, and compare its transactions with the plan."""
    from crypto_checkout.chain.wallet import signing
    from crypto_checkout.core.collect import plan_file
    from crypto_checkout.core.collect.plan import PlanInvalid

    try:
        signed = plan_file.read_signed(read(path))
        signing.verify(signed)
    except PlanInvalid as error:
        fail(f"{path}: {error}.")
    return signed

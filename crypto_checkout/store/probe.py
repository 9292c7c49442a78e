"""Find out whether the database can be written now."""

from .database import WriteUnit


def write(unit: WriteUnit) -> None:
    """Write a page without changing anything, so that a full disk or a read-only one shows at the commit."""
    row = unit.one("PRAGMA user_version")
    assert row is not None, "the pragma always answers"
    unit.run(f"PRAGMA user_version = {int(row[0])}")

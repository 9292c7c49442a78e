"""The types of text in several lines, of names of time zones, and of what backups take; each completes "expected …"."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

_MOST_LINES, _LONGEST_LINE = 8, 80
_LEAST_PASSPHRASE = 16
_SHORTEST_DATABASE_PATH = len("/d")


def _folder(value: Any) -> Any:
    if value == "" or value is None:
        return None
    if not isinstance(value, str | Path) or not str(value).strip():
        raise ValueError("the path of a folder, in quotes")
    return Path(value)


def _file(value: Any) -> Any:
    if value == "" or value is None:
        return None
    if not isinstance(value, str | Path) or not str(value).strip() or str(value).endswith("/"):
        raise ValueError("the path of a file, in quotes")
    return Path(value)


def _database_url(text: str) -> str:
    # The text itself is never repeated: it may have a password in it.
    text = text.strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if text and (parts.scheme not in {"postgresql", "postgres"} or len(parts.path) < _SHORTEST_DATABASE_PATH):
        raise ValueError('a URL like "postgresql://user:password@host/database"')
    return text


def age_recipient(text: str) -> str:
    """Return a public key of age; one that is mistyped is refused by its checksum."""
    # Imported here, because most backups aren't encrypted.
    from pyrage import RecipientError, x25519

    try:
        return str(x25519.Recipient.from_str(text.strip()))
    except RecipientError:
        raise ValueError('a public key of age, like "age1…", as `age-keygen` prints it') from None


def _passphrase(text: str) -> str:
    # The text itself is never repeated.
    if text and (len(text.strip()) < _LEAST_PASSPHRASE or not text.isprintable()):
        raise ValueError(f"one line of at least {_LEAST_PASSPHRASE} characters: whoever has the backup can try many")
    return text


def _paragraph(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) > _MOST_LINES or any(len(line) > _LONGEST_LINE or not line.isprintable() for line in lines):
        raise ValueError(f"at most {_MOST_LINES} lines of at most {_LONGEST_LINE} printable characters")
    return "\n".join(lines)


def _time_zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError('the name of a time zone, like "Europe/Berlin"') from None
    return name


Paragraph = Annotated[str, AfterValidator(_paragraph)]
TimeZone = Annotated[str, AfterValidator(_time_zone_name)]
OptionalFile = Annotated[Path | None, BeforeValidator(_file)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
OptionalFolder = Annotated[Path | None, BeforeValidator(_folder)]
AgeRecipient = Annotated[str, AfterValidator(age_recipient)]
Passphrase = Annotated[str, AfterValidator(_passphrase)]

"""Notes that the running server leaves in its data folder, for the commands that run beside it; each a small file.

They are the server's URL, the token by which it knows `doctor`, and the address of a proxy that it does not trust.
A killed server leaves its files behind; the next one overwrites or removes them.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crypto_checkout.store import files

_URL = "url"
_DOCTOR_TOKEN = "doctor-token"  # noqa: S105 - a file's name
_UNTRUSTED_PROXY = "untrusted-proxy"
_TOKEN_BYTES = 24


@contextmanager
def published_url(folder: Path, url: str) -> Iterator[None]:
    """Publish the URL while the context lasts. The caller must hold the folder's lock."""
    files.write(folder / _URL, f"{url}\n")
    try:
        yield
    finally:
        _remove(folder / _URL)


def url(folder: Path) -> str | None:
    """Return the URL of a folder's server; None if none is published."""
    return _read(folder / _URL)


@contextmanager
def published_doctor_token(folder: Path) -> Iterator[str]:
    """Yield a new token, published while the context lasts; a disk that takes no writes keeps it from `doctor`."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with suppress(OSError):
        files.write(folder / _DOCTOR_TOKEN, f"{token}\n")
    try:
        yield token
    finally:
        _remove(folder / _DOCTOR_TOKEN)


def doctor_token(folder: Path) -> str | None:
    """Return the token of a folder's server; None if there is none."""
    return _read(folder / _DOCTOR_TOKEN)


def note_untrusted_proxy(folder: Path, address: str) -> None:
    """Record a proxy's address. A disk that takes no writes is no reason to refuse the request that showed it."""
    with suppress(OSError):
        (folder / _UNTRUSTED_PROXY).write_text(f"{address}\n", "utf-8")


def untrusted_proxy(folder: Path) -> str | None:
    """Return the proxy's address; None if none was met since the server's last start."""
    return _read(folder / _UNTRUSTED_PROXY)


def forget_untrusted_proxy(folder: Path) -> None:
    """Remove the record, at the start of a server, whose configuration may trust that proxy now."""
    _remove(folder / _UNTRUSTED_PROXY)


def _read(file: Path) -> str | None:
    try:
        return file.read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _remove(file: Path) -> None:
    with suppress(OSError):  # a disk that became read-only meanwhile keeps it
        file.unlink(missing_ok=True)

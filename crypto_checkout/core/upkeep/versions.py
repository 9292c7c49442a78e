"""Versions of this program, and descriptions of the newest one from outside.

Nothing in a description is trusted: it can name a version, a page about it and a few words, which are shown as text and
nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crypto_checkout.core.urls import is_ip

_FINAL = re.compile(r"v?(\d{1,6}(?:\.\d{1,6}){1,3})", re.ASCII)
_BEGINNING = re.compile(r"\d{1,6}(?:\.\d{1,6}){0,3}", re.ASCII)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
_LONGEST_URL = 500
_LONGEST_NOTES = 300


class NoRelease(ValueError):
    """An answer that names no version; the text completes "the answer …"."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version, the https page about it, and the publisher's words: one line, or empty."""

    version: str
    url: str
    notes: str = ""

    @property
    def host(self) -> str:
        """The host of the page."""
        return urlsplit(self.url).hostname or ""

    def is_newer_than(self, version: str) -> bool:
        """Tell whether it is newer than a version of this program, which may be one before a release."""
        return _numbers(self.version) > _numbers(version)


def read_release(answer: Any) -> Release:
    """Read `{"version", "url", "notes"?}`, or a release as GitHub describes it. Raises NoRelease."""
    if not isinstance(answer, Mapping):
        raise NoRelease("is no JSON object")
    if answer.get("draft") or answer.get("prerelease"):
        raise NoRelease("names a version that isn't final")
    is_ours = "version" in answer
    version, url, notes = (answer.get(key) for key in (("version", "url", "notes") if is_ours else _OF_GITHUB))
    found = _FINAL.fullmatch(version) if isinstance(version, str) else None
    if found is None:
        raise NoRelease("names no version like 1.2.3")
    if not isinstance(url, str) or not _is_page(url):
        raise NoRelease("has no https:// URL of a page about the version")
    return Release(found[1], url, _one_line(notes) if isinstance(notes, str) else "")


_OF_GITHUB = ("tag_name", "html_url", "name")
"""As in "Get the latest release" of GitHub's REST API, version 2022-11-28."""


def _is_page(url: str) -> bool:
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or set(url) & set(" \"'<>\\^`{|}"):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    return (
        parts.scheme == "https"
        and parts.username is None
        and port != 0
        and (is_ip(host) or _HOST.fullmatch(host) is not None)
    )


def _one_line(text: str) -> str:
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _LONGEST_NOTES else f"{line[: _LONGEST_NOTES - 1].rstrip()}…"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version for comparison; 1.2 is 1.2.0."""
    found = _BEGINNING.match(version)
    numbers = [int(each) for each in found[0].split(".")] if found else []
    return tuple([*numbers, 0, 0, 0, 0][:4])

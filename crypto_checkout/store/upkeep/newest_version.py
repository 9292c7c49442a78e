"""The newest version that was heard of, and when to ask again, in a small file beside the database."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.core.upkeep.versions import NoRelease, Release, read_release
from crypto_checkout.store import files

_NAME = "newest-version"


@dataclass(frozen=True, slots=True)
class LastLook:
    """The last look at a URL: the release that it or an earlier one found, and the problem that it had."""

    url: str
    at: datetime
    next_at: datetime
    release: Release | None = None
    problem: str | None = None


def note(folder: Path, look: LastLook) -> None:
    """Record a look. Raises OSError, and leaves the old record then."""
    release = look.release
    fields = {
        "url": look.url,
        "at": moments.to_text(look.at),
        "nextAt": moments.to_text(look.next_at),
        "release": release and {"version": release.version, "url": release.url, "notes": release.notes},
        "problem": look.problem,
    }
    files.write(folder / _NAME, f"{json.dumps(fields, ensure_ascii=False)}\n")


def read(folder: Path, url: str) -> LastLook | None:
    """Return the last look at a URL; None if none is recorded. What others wrote there is read like an answer."""
    try:
        fields = json.loads((folder / _NAME).read_text("utf-8"))
        if fields["url"] != url:
            return None
        at, next_at = moments.from_text(fields["at"]), moments.from_text(fields["nextAt"])
        release = None if fields["release"] is None else read_release(fields["release"])
        problem = None if fields["problem"] is None else str(fields["problem"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, NoRelease):
        return None
    return LastLook(url, at, next_at, release, problem)

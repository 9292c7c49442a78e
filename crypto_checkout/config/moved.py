"""Keys that moved to another section: the old ones keep working, and the operator is asked to move them.

They are moved before anything is checked, so that nothing else knows the old ones.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from crypto_checkout.config.mistakes import Mistake

MOVED: Mapping[tuple[str, str], tuple[str, str]] = {
    ("alerts", "email_from"): ("mail", "from"),
    **{
        ("alerts", key): ("mail", key)
        for key in ("smtp_host", "smtp_port", "smtp_security", "smtp_user", "smtp_password")
    },
}
"""The place of each key that moved, by its old one."""

_AS_WRITTEN = {"smtp_port": 587, "smtp_security": "starttls"}
"""The defaults that older files name, as `init` wrote them: they say nothing."""


def move(values: dict[str, Any]) -> tuple[list[str], list[Mistake]]:
    """Move old keys to their new places; return notes for the operator, and mistakes for those set twice and apart."""
    moved = list(_moved(values))
    notes = [f"{'.'.join(old)} is {'.'.join(new)} now; the old key works, and is better moved" for old, new, _ in moved]
    return notes, [mistake for _, _, mistake in moved if mistake is not None]


def _moved(values: dict[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[str, str], Mistake | None]]:
    for old, new in MOVED.items():
        section = values.get(old[0])
        if not isinstance(section, dict) or old[1] not in section:
            continue
        given = section.pop(old[1])
        if given in ("", _AS_WRITTEN.get(old[1])):
            continue
        target = values.setdefault(new[0], {})
        if not isinstance(target, dict):  # a mistake of its own already
            continue
        kept = target.get(new[1], "")
        if kept == "":
            target[new[1]] = given
        differs = kept not in ("", given)
        place, former = ".".join(new), ".".join(old)
        yield (
            old,
            new,
            Mistake(place, f"{former}, where this key was before, says otherwise: remove that one")
            if (differs)
            else None,
        )

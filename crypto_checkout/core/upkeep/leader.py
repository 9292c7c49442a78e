"""The leader: of several processes that serve one database, the one that follows chains, sends, and tidies up."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Leader:
    """The process that leads, as `4242@shop-1`, since when, and in which term; terms rise with each change."""

    process: str
    since: datetime
    term: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of a process.

    `term` is its own while it leads, else None. `leader` is whoever leads, itself included; None while nobody does.
    `seen` is what the last leader saw of the chains, as JSON. `is_asked_to_end` tells a leader to step back.
    """

    term: int | None
    leader: Leader | None
    seen: str = "{}"
    is_asked_to_end: bool = False


ALONE = Standing(0, None)
"""The standing of a process that serves a file: nobody else can, so it leads from its start."""

NOBODY = Standing(None, None)
"""The standing of a process that doesn't know of any leader."""

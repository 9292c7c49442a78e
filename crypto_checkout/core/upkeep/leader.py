"""Leader election: of several processes that serve one database, one follows chains, sends, and tidies up."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Leader:
    """The process that leads, as `4242@shop-1#3fa9c1`, since when, and in which term: one more than the one before.

    A database that was restored counts terms again from an earlier one; `since` tells them apart.
    """

    process: str
    since: datetime
    term: int


@dataclass(frozen=True, slots=True)
class ElectionState:
    """The outcome of an election, as one process knows it.

    `is_leader` tells whether it leads. `leader` is whoever leads, itself included; None while nobody does, and on
    a file. `report` is what the last leader published of the chains, as JSON (`services.leader.report`).
    """

    is_leader: bool
    leader: Leader | None
    report: str = "{}"
    is_asked_to_step_down: bool = False


ALONE = ElectionState(is_leader=True, leader=None)
"""The state where the database is a file: the one process that serves it leads."""

NO_LEADER = ElectionState(is_leader=False, leader=None)
"""The state while no leader is known."""

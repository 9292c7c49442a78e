"""A replica that falls behind is an issue of the whole server; a database without one has none."""

from datetime import timedelta
from pathlib import Path

from crypto_checkout import litestream
from crypto_checkout.core import moments
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.upkeep.replica_watch import MOST_BEHIND, ReplicaWatch, behind
from crypto_checkout.store.sqlite.checkpoints import litestream_folder
from tests.support.api import App, Clock


async def test_it_is_an_issue_from_the_moment_that_litestream_is_gone_until_it_is_not_used(
    app: App, tmp_path: Path
) -> None:
    clock, database = Clock(), tmp_path / "checkout.db"
    watch = ReplicaWatch(database, clock)
    issues = ServerIssues(
        WatchedMode(Readiness(app.opened.db, (), clock)),
        livemode=True,
        folder=tmp_path,
        clock=clock,
        replica_watch=watch,
    )
    await watch.turn()
    assert await issues.now() == []
    since = moments.to_text(clock())
    litestream_folder(database).mkdir()
    clock.move(seconds=60)
    await watch.turn()
    (issue,) = await issues.now()
    assert (issue.kind, issue.livemode) == (IssueKind.REPLICA, None)
    assert issue.words == (
        f"What was written since {since} may not be in the replica: Litestream doesn't answer at "
        f"{tmp_path / litestream.SOCKET}."
    )
    assert "A warm standby" in issue.advice
    litestream_folder(database).rmdir()
    await watch.turn()
    assert await issues.now() == []


def test_a_copy_is_too_old_after_half_a_minute() -> None:
    now = Clock()()
    assert behind(now - MOST_BEHIND, now) is None
    assert behind(now - MOST_BEHIND - timedelta(seconds=1), now) is not None

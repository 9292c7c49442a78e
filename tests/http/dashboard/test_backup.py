"""The backup that is downloaded from the dashboard: whole, for who gave the password lately, and noted."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.backups import file as backup
from tests.support.api import App, Clock, open_app
from tests.support.dashboard import PASSWORD, signed_in, visitor

PATH = "/test/settings/backup"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def app(tmp_path: Path, clock: Clock) -> AsyncIterator[App]:
    async with open_app(tmp_path, clock=clock) as running:
        yield running


def files(folder: Path) -> set[str]:
    """Return the names in the data folder, but for SQLite's own, and what the nightly check may write meanwhile."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm", "last-check"))}


async def test_a_downloaded_copy_is_a_sound_database_with_everything_and_leaves_nothing_behind(
    app: App, tmp_path: Path
) -> None:
    owner = await signed_in(app)
    await owner.post("/test/api-keys", data={"name": "Till", "mode": "test", "scope": "links:read"})
    before = files(tmp_path)
    answer = await owner.post(PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.sqlite3"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith('attachment; filename="checkout-')
    assert int(answer.headers["content-length"]) == len(answer.content)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(answer.content)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT COUNT(*) FROM api_keys WHERE name = 'Till'").fetchone() == (1,)
    assert files(tmp_path) == before
    assert "backup.downloaded" in (await owner.get("/test/settings/trail")).text


async def test_a_copy_is_given_only_to_who_gave_the_password_lately(app: App, clock: Clock) -> None:
    owner = await signed_in(app)
    clock.move(minutes=11)
    assert (await owner.get(PATH)).status_code == 403
    answer = await owner.post(PATH)
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert (await owner.post(PATH, data={"current_password": "something else"})).status_code == 403
    assert (await owner.post(PATH, data={"current_password": PASSWORD})).content.startswith(b"SQLite format 3")
    assert (await (await visitor(app)).post(PATH)).status_code == 303


async def test_a_disk_that_is_full_is_told_of_and_nothing_is_noted(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await signed_in(app)

    def fail(*_: object, **__: object) -> None:
        raise FatalError("the disk has no room")

    before = files(tmp_path)
    monkeypatch.setattr(backup, "back_up", fail)
    answer = await owner.post(PATH)
    assert answer.status_code == 503
    assert "Temporarily unavailable" in answer.text
    assert files(tmp_path) == before
    assert "backup.downloaded" not in (await owner.get("/test/settings/trail")).text


async def test_what_a_killed_download_left_goes_with_the_next(app: App, tmp_path: Path) -> None:
    owner = await signed_in(app)
    left = tmp_path / ".download-left"
    left.mkdir()
    (left / "copy.db").write_bytes(b"half")
    await owner.post(PATH)
    assert not left.exists()

"""The page of the backups: made on demand, listed, and downloaded by who gave the password lately."""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.api import PRICE, App, Clock, made, open_app
from tests.support.dashboard import PASSWORD, backed_up, signed_in, visitor
from tests.support.waiting import until

pytestmark = pytest.mark.sqlite  # a database on a server is backed up there

PATH = "/test/settings/backup"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def app(tmp_path: Path, clock: Clock) -> AsyncIterator[App]:
    async with open_app(tmp_path, clock=clock) as running:
        yield running


async def test_a_backup_is_made_now_and_downloaded_whole(app: App) -> None:
    owner = await signed_in(app)
    before = (await owner.get(PATH)).text
    assert "There is no backup yet." in before
    await made(app.api, "/checkout_sessions", PRICE)
    await owner.post("/test/api-keys", data={"name": "Till", "mode": "test", "scope": "links:read"})
    name = await backed_up(owner)
    page = (await owner.get(PATH)).text
    assert "checked</span>" in page
    assert "not checked</span>" not in page
    assert f"crypto-checkout restore {name}" in page
    answer = await owner.post(f"{PATH}/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.sqlite3"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(answer.content)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT COUNT(*) FROM api_keys WHERE name = 'Till'").fetchone() == (1,)
        assert connection.execute("SELECT COUNT(*) FROM checkout_sessions").fetchone() == (1,)
    trail = (await owner.get("/test/settings/trail")).text
    assert "backup.asked" in trail
    assert "backup.downloaded" in trail
    assert name in trail


async def test_while_one_is_made_the_page_shows_how_far_it_is_and_loads_itself_again(app: App) -> None:
    owner = await signed_in(app)
    await owner.post(PATH)
    page = (await owner.get(PATH)).text
    assert '<meta http-equiv="refresh" content="3">' in page
    assert "A backup is being made" in page
    assert re.search(r"(Copying|Checking): \d+%\.", page)
    assert "Back up now" not in page
    assert (await owner.post(PATH)).status_code == 303, "asking again makes no second one"
    await backed_up(owner)


async def test_a_backup_is_given_only_to_who_gave_the_password_lately(app: App, clock: Clock) -> None:
    owner = await signed_in(app)
    name = await backed_up(owner)
    clock.move(minutes=11)
    assert (await owner.get(PATH)).status_code == 200, "the list may be looked at"
    answer = await owner.post(f"{PATH}/{name}")
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert (await owner.post(f"{PATH}/{name}", data={"current_password": "something else"})).status_code == 403
    allowed = await owner.post(f"{PATH}/{name}", data={"current_password": PASSWORD})
    assert allowed.content.startswith(b"SQLite format 3")
    stranger = await visitor(app)
    for path in (PATH, f"{PATH}/{name}"):
        assert (await stranger.post(path)).status_code == 303
    assert (await stranger.get(PATH)).status_code == 303


@pytest.mark.parametrize(
    "name",
    [
        "latest", "backups.json", "checkout.db", "..%2Fcheckout.db", "%2E%2E%2Fcheckout.db", "..", "secret.key",
        "checkout-20261120-030000.db", "checkout-20261120-030000.db%0d%0aX-Header:1", "checkout-20261120-030000.db%00",
        "checkout-20269999-030000.db", "..%2F..%2F..%2Fetc%2Fpasswd", "checkout-20261120-030000.db%2F..%2Fbackups.json",
    ],
)  # fmt: skip
async def test_nothing_but_a_backup_can_be_downloaded(app: App, tmp_path: Path, name: str) -> None:
    owner = await signed_in(app)
    (tmp_path / "backups").mkdir(exist_ok=True)
    (tmp_path / "backups" / "backups.json").write_text("{}")
    answer = await owner.post(f"{PATH}/{name}")
    assert answer.status_code in {404, 405}
    assert answer.headers["content-type"].startswith("text/html")
    assert "backup.downloaded" not in (await owner.get("/test/settings/trail")).text


async def test_a_file_that_was_brought_here_is_listed_as_not_checked(app: App, tmp_path: Path) -> None:
    owner = await signed_in(app)
    (tmp_path / "backups").mkdir(exist_ok=True)
    (tmp_path / "backups" / "checkout-20200101-030000.db").write_bytes(b"what?")
    (tmp_path / "backups" / "holiday.jpg").write_bytes(b"a picture")
    page = (await owner.get(PATH)).text
    assert "not checked</span>" in page
    assert "5 bytes" in page
    assert "holiday" not in page


async def test_a_backup_that_fails_says_so_and_what_happens_next(app: App, tmp_path: Path) -> None:
    owner = await signed_in(app)
    (tmp_path / "backups").write_text("a file where the folder should be")
    await owner.post(PATH)

    async def has_failed() -> bool:
        return "Backups need attention" in (await owner.get(PATH)).text

    await until(has_failed, "fail")
    page = (await owner.get(PATH)).text
    assert "Back up now" in page
    assert 'role="alert"' in page
    assert (await owner.get("/test")).status_code == 200


async def test_encrypted_backups_are_sent_as_they_are(tmp_path: Path) -> None:
    async with open_app(tmp_path, backup={"passphrase": "three quiet herons at dusk"}) as app:
        owner = await signed_in(app)
        name = await backed_up(owner)
        assert name.endswith(".db.age")
        page = (await owner.get(PATH)).text
        assert "encrypted</span>" in page
        assert "with your passphrase, by age" in page
        assert "--identity" not in page
        assert "three quiet herons" not in page
        answer = await owner.post(f"{PATH}/{name}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.content.startswith(b"age-encryption.org/v1\n")


async def test_backups_that_are_switched_off_are_made_on_demand(tmp_path: Path) -> None:
    async with open_app(tmp_path, backup={"every_hours": 0}) as app:
        owner = await signed_in(app)
        assert "Backups are made when you ask" in (await owner.get(PATH)).text
        await backed_up(owner)


async def test_what_a_killed_download_of_an_earlier_version_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".download-left"
    left.mkdir()
    (left / "copy.db").write_bytes(b"half")
    async with open_app(tmp_path):
        assert not left.exists()

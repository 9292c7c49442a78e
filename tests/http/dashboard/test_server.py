"""The page about the server itself: its version and a newer one, its disk, and what takes up the space."""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from crypto_checkout import __version__
from crypto_checkout.core import moments
from crypto_checkout.core.upkeep.space import SpaceKind
from crypto_checkout.http.docs.contents import guide_text
from crypto_checkout.http.docs.markdown import render
from crypto_checkout.store.upkeep import space
from tests.support.api import PRICE, App, Clock, made, open_app
from tests.support.dashboard import signed_in
from tests.support.postgresql import PostgresqlServer
from tests.support.releases import Answer, publisher
from tests.support.waiting import until

PAGE = "/test/settings/server"
DAY = "INSERT INTO disk_days (day, measured_at, database_bytes, other_bytes) VALUES (?, ?, ?, 0)"


def words(page: str) -> str:
    """Return the text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.partition("<main")[2])).split())


@pytest.mark.sqlite  # the pages of a file
async def test_it_says_what_takes_the_room_and_what_can_be_done(tmp_path: Path) -> None:
    webhooks = {"attempts_retention_days": 1, "allow_private_networks": True}
    async with open_app(tmp_path, events={"retention_days": 90}, webhooks=webhooks) as app:
        await made(app.api, "/checkout_sessions", PRICE)
        owner = await signed_in(app)

        async def is_measured() -> bool:
            return "Payment sessions" in (await owner.get(PAGE)).text

        await until(is_measured, "measure the tables")
        (tmp_path / "checkout.db.before-0030").write_bytes(b"c" * 900_000)
        shown = words((await owner.get(PAGE)).text)
    assert f"Version {__version__}" in shown
    assert "This server doesn’t look for newer versions." in shown
    assert "after a week of measurements, this page says when the disk will be full" in shown
    assert "Deleted after 90 days, as retention_days in [events] says." in shown
    assert "Attempts are deleted after 1 day, as attempts_retention_days in [webhooks] says, deliveries" in shown
    assert re.search(r"Copies made before upgrades and restores 900 kB \d+%", shown)
    assert "is being measured" not in shown


async def test_of_a_database_on_a_server_it_promises_no_forecast_and_no_measurement(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    made_there = postgresql_server.new_database(tmp_path)
    async with open_app(tmp_path, database={"url": made_there.url, "path": tmp_path / "checkout.db"}) as app:
        # as of the file that it was moved from
        await app.opened.db.write(lambda unit: space.store(unit, {SpaceKind.SESSIONS: 115_000}))
        (tmp_path / "checkout.db").write_bytes(b"m" * 500_000)
        (tmp_path / "backups").mkdir(exist_ok=True)
        (tmp_path / "backups" / "checkout-20261201-093000.db").write_bytes(b"b" * 400_000)
        shown = words((await (await signed_in(app)).get(PAGE)).text)
    postgresql_server.drop(made_there)
    assert "of the process that answered; each has its own. The database is on a PostgreSQL server: watch its" in shown
    assert re.search(r"was in before, and its backups 900 kB \d+% No longer used: delete them once", shown)
    assert re.search(r"The database \S+ \S+ \d+% On the PostgreSQL server\.", shown)
    for promise in (
        "after a week of measurements",
        "is being measured",
        "the database’s file",
        "Payment sessions",
        "keep_daily",
    ):
        assert promise not in shown


async def test_it_forecasts_the_disk(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock, backup={"every_hours": 0}) as app:
        with closing(sqlite3.connect(tmp_path / "checkout.db")) as connection, connection:
            connection.execute("DELETE FROM disk_days")
            for number in range(20):
                at = clock() - timedelta(days=19 - number)
                connection.execute(DAY, (at.date().isoformat(), moments.to_text(at), 10**9 + number * 41_000_000))
        owner = await signed_in(app)
        shown = words((await owner.get(PAGE)).text)
        assert "At the present rate (41 MB a day), the disk " in shown
        assert "database 41 MB, everything else on this disk 0 bytes" in shown


@pytest.mark.parametrize("path", ["/test", "/test/settings/server"])
async def test_a_newer_version_shows_as_a_line_that_can_t_inject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    answer = {
        "tag_name": "v99.1.0",
        "html_url": "https://github.com/example/checkout/releases/v99.1.0?a=1&b=2",
        "name": "<script>alert(1)</script> & more",
        "body": "# long",
    }
    async with publisher(tmp_path, {"/latest": Answer(answer)}) as site:
        monkeypatch.setenv("SSL_CERT_FILE", str(site.certificate))
        async with open_app(tmp_path, updates={"check_url": site.url("/latest")}) as app:
            owner = await signed_in(app)

            async def is_known() -> bool:
                return "99.1.0" in (await owner.get(path)).text

            await until(is_known, "hear of the newer version")
            page = (await owner.get(path)).text
            assert "<script>alert" not in page
            link = "https://github.com/example/checkout/releases/v99.1.0?a=1&amp;b=2"
            assert f'<a href="{link}" rel="noopener noreferrer">' in page
            assert "What is new, at github.com" in page
            assert "/docs/go-live#update" in page
            assert len(site.requests) == 1
        # What is known outlives the process, and the page needs no network.
    async with open_app(tmp_path, updates={"check_url": site.url("/latest")}) as app:
        assert "99.1.0" in (await (await signed_in(app)).get(path)).text


async def test_a_look_in_vain_is_quiet(tmp_path: Path) -> None:
    async with open_app(tmp_path, updates={"check_url": "https://localhost:1/latest"}) as app:
        owner = await signed_in(app)

        async def has_failed() -> bool:
            return ", failed: " in (await owner.get(PAGE)).text

        await until(has_failed, "fail")
        shown = words((await owner.get(PAGE)).text)
        assert "failed: can't be reached: the connection failed, or broke." in shown
        assert "available" not in words((await owner.get("/test")).text)


def test_the_guides_that_the_pages_lead_to_have_these_sections() -> None:
    assert 'id="update"' in render(guide_text("go-live", ""))
    assert 'id="a-newer-version"' in render(guide_text("operate", ""))


async def test_the_page_works_while_the_first_turn_is_still_to_come(app: App) -> None:
    answer = await (await signed_in(app)).get(PAGE)
    assert answer.status_code == 200
    assert "What takes up the space" in answer.text

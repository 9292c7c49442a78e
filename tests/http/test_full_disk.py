"""A server on a disk that fills up or loses a page: refusals with a way on, one line in the log, and a name for it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.api import LINK, error
from tests.support.disks import Disk, small_disk
from tests.support.server import Server

pytestmark = pytest.mark.sqlite  # the disk of a file

REQUESTS = 60
LONG = {**LINK, "metadata": {f"key-{number}": "x" * 500 for number in range(20)}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def test_a_full_disk_is_a_pause_for_clients_and_a_line_in_the_log(disk: Disk, tmp_path: Path) -> None:
    with Server(tmp_path, f'[database]\npath = "{disk.folder}/checkout.db"\n') as server:
        api = server.api
        assert api.post("/payment_links", json=LONG).status_code == 201
        before = len(server.log)
        disk.fill()
        answers = [api.post("/payment_links", json=LONG) for _ in range(REQUESTS)]
        while answers[-1].status_code == 201:  # the log's own space takes some more
            answers += [api.post("/payment_links", json=LONG) for _ in range(REQUESTS)]
        refused = [each for each in answers if each.status_code != 201]
        assert {(each.status_code, error(each)["code"]) for each in refused} == {(503, "internal_error")}
        assert all(int(each.headers["retry-after"]) > 0 for each in refused)
        assert api.get("/payment_links").status_code == 200, "what is there can be read"
        ready = api.get(f"{server.url}/readyz")
        assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "can't be written")
        assert server.logs_once_a_minute("the database fails")
        lines = [json.loads(line) for line in server.log[before:].splitlines()]
        assert {line["level"] for line in lines if line["event"] == "the database fails"} == {"error"}
        assert not any("exception" in line for line in lines)
        disk.make_room()
        server.wait_until(lambda: api.get(f"{server.url}/readyz").status_code == 200, "be ready again")
        assert api.post("/payment_links", json=LONG).status_code == 201


MAIL = """
[mail]
from = "shop@pay.example"
smtp_host = "127.0.0.1"
receipts = true
test_mode = true
"""


def test_a_payer_sees_the_page_though_its_language_can_not_be_kept(disk: Disk, tmp_path: Path) -> None:
    with Server(tmp_path, f'[database]\npath = "{disk.folder}/checkout.db"\n{MAIL}') as server:
        price = {"amount": {"value": "30.00", "currency": "USD"}, "customerEmail": "ada@example.com"}
        session = server.api.post("/checkout_sessions", json=price).json()
        disk.fill()
        while server.api.post("/payment_links", json=LONG).status_code == 201:
            pass
        page = server.client(None).get(f"{server.url}/checkout/{session['id']}", params={"lang": "de"})
        assert page.status_code == 200
        assert 'lang="de"' in page.text


def test_a_server_on_a_full_disk_still_ends_in_order(disk: Disk, tmp_path: Path) -> None:
    with Server(tmp_path, f'[database]\npath = "{disk.folder}/checkout.db"\n') as server:
        disk.fill()
        while server.api.post("/payment_links", json=LONG).status_code == 201:
            pass
        assert server.stop() == 0
        assert "Traceback" not in server.log


def test_a_damaged_page_makes_the_server_not_ready_at_once(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        key = server.key
    path = tmp_path / "checkout-data" / "checkout.db"
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'payment_links'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with Server(tmp_path) as server:
        api = server.client(key)
        refused = api.post("/payment_links", json=LINK)
        assert (refused.status_code, error(refused)["code"]) == (503, "internal_error")
        ready = api.get(f"{server.url}/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] == "is damaged; put the last backup back"
        said = [json.loads(line) for line in server.log.splitlines()]
        assert [each["level"] for each in said if each["event"] == "the database is damaged"] == ["critical"]
        assert not [each for each in said if "exception" in each]
        server.wait_until((path.parent / "last-check").exists, "record the damage")
        assert "damaged" in (path.parent / "last-check").read_text()

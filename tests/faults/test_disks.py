"""A disk that goes read-only, or fills up, under the running server, and comes back: without a restart."""

from pathlib import Path

import httpx
import pytest

from tests.support.api import LINK, error
from tests.support.disks import failing_disk, small_disk
from tests.support.server import Server, command

pytestmark = pytest.mark.sqlite  # the disk of a file

FILLED_TIMES = 3
PRICE = {"amount": {"value": "30.00", "currency": "USD"}}


def config(folder: Path) -> str:
    return f'[database]\npath = "{folder}/checkout.db"\n'


def is_stored(api: httpx.Client) -> bool:
    return api.post("/checkout_sessions", json=PRICE).status_code == 201


def test_a_disk_that_turns_read_only_refuses_and_takes_all_after_a_restart(tmp_path: Path) -> None:
    """An error of the disk makes Linux mount it read-only at once; only who mounts it anew can write again."""
    with failing_disk(tmp_path / "disk") as disk:
        with Server(tmp_path, config(disk.folder)) as server:
            api, key = server.api, server.key
            kept = [api.post("/payment_links", json=LINK).raise_for_status().json()["id"] for _ in range(5)]
            session = api.post("/checkout_sessions", json=PRICE).raise_for_status().json()
            disk.fail()
            refused = api.post("/payment_links", json=LINK)
            assert (refused.status_code, error(refused)["code"]) == (503, "internal_error")
            assert int(refused.headers["retry-after"]) > 0
            page = server.client(None).get(f"{server.url}/checkout/{session['id']}")
            assert page.status_code == 200, "payers see their pages on"
            assert session["address"] in page.text
            ready = api.get(f"{server.url}/readyz")
            assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "can't be written")
            assert server.stop() == 0
            assert "Traceback" not in server.log
        assert "writ" in command(tmp_path, "serve").stderr
        disk.mount_again()
        with Server(tmp_path) as server:
            api = server.client(key)
            assert {each["id"] for each in api.get("/payment_links").json()["data"]} == set(kept)
            assert is_stored(api)


def test_a_disk_that_fills_up_again_and_again_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, Server(tmp_path, config(disk.folder)) as server:
        stored: list[str] = []
        for _ in range(FILLED_TIMES):
            stored.append(server.api.post("/checkout_sessions", json=PRICE).raise_for_status().json()["id"])
            disk.fill()
            while (made := server.api.post("/checkout_sessions", json=PRICE)).status_code == 201:
                stored.append(made.json()["id"])
            assert made.status_code == 503
            assert all(server.api.get(f"/checkout_sessions/{each}").status_code == 200 for each in stored[-5:])
            disk.make_room()
            server.wait_until(lambda: is_stored(server.api), "store again, without a restart")
        found = [server.api.get(f"/checkout_sessions/{each}").status_code for each in stored]
        assert set(found) == {200}

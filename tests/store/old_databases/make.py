"""Make the databases of earlier schemas that `tests/store/test_upgrades.py` upgrades.

    python -m tests.store.old_databases.make

For each schema whose database is missing here this runs the server of the last commit that had it, on today's packages,
has it sell something in every scenario that it knows, and keeps its database, compressed, with what its API said of the
sessions, and the key of its secrets where there is one.
"""

import gzip
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.support.waiting import wait_until

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
SCENARIOS = (
    "exact underpaid overpaid late after_grace top_up reorged reorged_after_paid internal wrong_token two_in_one_tx"
)
LISTENING = re.compile(r"(http://127\.0\.0\.1:\d+)")
KEY = re.compile(r"ck_test_[0-9A-Za-z]{32}")
MIGRATIONS = "crypto_checkout/store/migrations/"


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True).stdout


def missing() -> Iterator[tuple[int, list[str]]]:
    """Yield each schema whose database isn't here, and the commits that had it, newest first; some couldn't run.

    Only where all its migrations were those of today: while one change is made, two of them may have had one number.
    """
    today = _migrations("HEAD")
    found: dict[int, list[str]] = {max(today): ["HEAD"]}
    for changed in git("log", "--format=%H", "--", MIGRATIONS).split():
        for commit in (f"{changed}^", changed):
            known = _migrations(commit)
            if known and known.items() <= today.items():
                found.setdefault(max(known), []).append(commit)
    for number, commits in sorted(found.items()):
        if not (HERE / f"{number:04}.db.gz").exists():
            yield number, commits


def _migrations(commit: str) -> dict[int, str]:
    """Return the migrations of a commit by their numbers, without comments; none where two have one number."""
    names = [each for each in git("ls-tree", "--name-only", commit, MIGRATIONS).split() if each.endswith(".sql")]
    found = {int(Path(name).name[:4]): _plain(git("show", f"{commit}:{name}")) for name in names}
    return found if len(found) == len(names) else {}


def _plain(sql: str) -> str:
    return " ".join(re.sub(r"--.*", "", sql).split())


def make(commit: str) -> None:
    """Make the database of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        tree, shop = Path(folder, "tree"), Path(folder, "shop")
        git("worktree", "add", "--detach", str(tree), commit)
        try:
            newest = max(int(file.name[:4]) for file in (tree / MIGRATIONS).glob("*.sql"))
            shop.mkdir()
            facts = {"commit": git("rev-parse", "--short=12", commit).strip(), "sessions": sell(tree, shop)}
            keep(newest, shop / "checkout-data", facts)
            print(f"{newest:04} from {facts['commit']}: {len(facts['sessions'])} sessions")  # noqa: T201 - a program for the terminal
        finally:
            git("worktree", "remove", "--force", str(tree))


def sell(tree: Path, shop: Path) -> list[dict[str, Any]]:
    """Run the server, sell something in each scenario, and return what its API says of the sessions."""
    environ = {**os.environ, "PYTHONPATH": str(tree), "CHECKOUT__SERVER__PORT": "0", "PYTHONWARNINGS": "ignore"}
    out = shop / "out"
    with out.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "crypto_checkout", "serve"], cwd=shop, env=environ, stdout=log, stderr=log
        )
    try:
        wait_until(
            lambda: KEY.search(out.read_text("utf-8")), "print its key",
            is_running=lambda: process.poll() is None, output=lambda: out.read_text("utf-8"),
        )  # fmt: skip
        text = out.read_text("utf-8")
        url, key = LISTENING.findall(text)[-1], KEY.findall(text)[-1]
        url = next(each for each in LISTENING.findall(text) if not each.endswith(":0"))
        with httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60) as api:
            return _sell(api)
    finally:
        process.terminate()
        process.wait(60)


def _sell(api: httpx.Client) -> list[dict[str, Any]]:
    with suppress(httpx.HTTPError):
        api.post("/webhook_endpoints", json={"url": "http://127.0.0.1:9/hook", "events": ["*"]})
        api.post("/customers", json={"email": "Grace@example.com", "name": "Grace"})
    link = api.post("/payment_links", json={"title": "Tea", "fiatAmount": "7.50"})
    if link.is_success:
        api.post("/checkout_sessions", json={"linkId": link.json()["id"]})
    for scenario in SCENARIOS.split():
        made = api.post(
            "/checkout_sessions",
            json={"amount": {"value": "49.90", "currency": "USD"}, "customerEmail": f"{scenario}@example.com",
                  "metadata": {"order": scenario}},
        ).raise_for_status().json()  # fmt: skip
        paid = api.post(f"/test_helpers/checkout_sessions/{made['id']}/pay", json={"scenario": scenario})
        if scenario == "overpaid" and paid.is_success:
            api.post("/refunds", json={"sessionId": made["id"]})
    api.post("/test_helpers/chain/mine", json={"blocks": 3})
    listed: list[dict[str, Any]] = (
        api.get("/checkout_sessions", params={"limit": 100}).raise_for_status().json()["data"]
    )
    return [_facts(each) for each in reversed(listed)]


def _facts(session: dict[str, Any]) -> dict[str, Any]:
    plain = {name: session[name] for name in ("id", "status", "address", "customerEmail", "metadata", "paidAt")}
    return {
        **plain,
        "amount": session["amount"]["units"],
        "received": session["amountReceived"]["units"],
        "payments": [payment["txHash"] for payment in session["payments"]],
    }


def keep(number: int, data: Path, facts: dict[str, Any]) -> None:
    """Keep the database, what is known of it, and its key."""
    copy = data / "copy.db"
    with closing(sqlite3.connect(data / "checkout.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    (HERE / f"{number:04}.db.gz").write_bytes(gzip.compress(copy.read_bytes(), 9, mtime=0))
    (HERE / f"{number:04}.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    if (data / "secret.key").exists():
        shutil.copy(data / "secret.key", HERE / f"{number:04}.secret.key")


if __name__ == "__main__":
    for _, candidates in missing():
        for candidate in candidates:
            with suppress(AssertionError):  # it didn't start
                make(candidate)
                break

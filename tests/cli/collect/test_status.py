"""`crypto-checkout collect status` and `list`: where the money is and went, beside a running server."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_checkout.cli import main
from tests.support.server import Server


def test_the_status_names_totals_and_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli = CliRunner()
    with Server(tmp_path) as server:
        empty = cli.invoke(main, ["collect", "status", "--mode", "test"])
        assert (empty.exit_code, empty.stdout) == (0, "No address in test mode holds any money.\n")
        session = server.api.post("/checkout_sessions", json={"amount": {"value": "30.00", "currency": "USD"}}).json()
        assert server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={}).is_success
        shown = cli.invoke(main, ["collect", "status", "--mode", "test"])
        assert shown.exit_code == 0, shown.output
        for text in ("0.01 ETH on Sandbox (1337)", "30.00 USD", session["address"], session["id"][:20]):
            assert text in shown.stdout
        found = json.loads(cli.invoke(main, ["collect", "status", "--mode", "test", "--json"]).stdout)
        assert [each["addressPath"] for each in found["data"]] == [session["addressPath"]]
        assert found["totals"][0]["amount"] == session["amount"]
        assert found["totals"][0]["amount"] == server.api.get("/balances").json()["totals"][0]["amount"]
        assert "no collections in test mode yet" in cli.invoke(main, ["collect", "list", "--mode", "test"]).stdout
        assert server.api.post(f"/test_helpers/checkout_sessions/{session['id']}/collect").is_success
        listed = json.loads(cli.invoke(main, ["collect", "list", "--mode", "test", "--json"]).stdout)
        assert listed["data"] == server.api.get("/collections").json()["data"]
        assert "0.01 ETH" in cli.invoke(main, ["collect", "list", "--mode", "test"]).stdout
    live = cli.invoke(main, ["collect", "status"])
    assert live.exit_code == 1
    assert "takes no real money yet" in live.output
    assert "--mode test" in live.output

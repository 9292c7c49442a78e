"""`crypto-checkout mail test`: it sends one mail, and says what came of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crypto_checkout.cli import main
from tests.support.mailbox import PASSWORD, USER, Mailbox, mailbox
from tests.support.server import Server


def invoke(folder: Path, box: Mailbox, *arguments: str, more: str = "", **environ: str) -> Any:
    path = folder / "checkout.toml"
    path.write_text(
        f"""
        [branding]
        name = "Tea & Sons"
        [mail]
        from = "shop@pay.example"
        smtp_host = "127.0.0.1"
        smtp_port = {box.port}
        smtp_security = "none"
        smtp_user = "{USER}"
        {more}
        """,
        "utf-8",
    )
    return CliRunner().invoke(main, ["--config", str(path), "mail", "test", *arguments], env=environ)


def test_a_test_is_sent_by_the_server_of_the_configuration(tmp_path: Path) -> None:
    with mailbox(sign_in=True) as box:
        environ = {"CHECKOUT__MAIL__SMTP_PASSWORD": PASSWORD}
        result = invoke(tmp_path, box, "--to", "ada@example.com", **environ)
        assert (result.exit_code, result.output) == (0, "mail to ada@example.com: sent\n")
        assert box.mails[0]["Subject"] == "[Tea & Sons] Test: mail arrives"
        assert box.mails[0]["From"] == "Tea & Sons <shop@pay.example>"
        result = invoke(tmp_path, box, "--json", more='notify_to = ["owner@example.com"]', **environ)
        assert json.loads(result.output) == {"to": ["owner@example.com"], "error": None}
        result = invoke(tmp_path, box, "--to", "ada@example.com", CHECKOUT__MAIL__SMTP_PASSWORD="wrong")
        assert result.exit_code == 1
        assert "535" in result.output
        assert "wrong" not in result.output


@pytest.mark.process
def test_a_server_with_the_old_keys_says_where_they_are_now(tmp_path: Path) -> None:
    old = '[alerts]\nemail_from = "shop@pay.example"\nsmtp_host = "127.0.0.1"\nsmtp_port = 2525\n'
    with Server(tmp_path, old) as server:
        assert "alerts.smtp_host is mail.smtp_host now" in server.output + server.log


def test_nobody_to_send_to_is_told(tmp_path: Path) -> None:
    with mailbox() as box:
        result = invoke(tmp_path, box)
        assert result.exit_code != 0
        assert "--to" in result.output

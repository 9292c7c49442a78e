"""Edits of the configuration file: what is proposed means what it should, and no secret of the file is shown."""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from crypto_checkout.config import Config
from crypto_checkout.services.reporting import config_snippets
from crypto_checkout.services.reporting.config_edit import (
    DiffLine,
    Mark,
    NotEditable,
    SetValues,
    checked,
    difference,
    propose,
)
from crypto_checkout.services.reporting.config_masks import masked

EXAMPLE = (files("crypto_checkout") / "checkout.toml.example").read_text("utf-8")
NAME = config_snippets.branding({"name": "Ada's Bakery"})


def signs(before: str, after: str) -> list[str]:
    return [f"{line.mark}{line.text}" for line in difference(before, after) if line.mark in {Mark.ADDED, Mark.REMOVED}]


def test_a_key_is_replaced_where_it_stands_and_everything_else_stays() -> None:
    after = checked(EXAMPLE, NAME)
    assert tomllib.loads(after)["branding"]["name"] == "Ada's Bakery"
    assert signs(EXAMPLE, after) == ['-name = ""', '+name = "Ada\'s Bakery"']
    assert after.count("#") == EXAMPLE.count("#")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[branding]\nname = "Ada\'s Bakery"\n'),
        ("[server]\nport = 1", '[server]\nport = 1\n\n[branding]\nname = "Ada\'s Bakery"\n'),
        ("[branding]\n\n[server]\nport = 1\n", '[branding]\nname = "Ada\'s Bakery"\n\n[server]\nport = 1\n'),
        ('[branding] # mine\ncolor = "#112233"\n', '[branding] # mine\ncolor = "#112233"\nname = "Ada\'s Bakery"\n'),
        (
            '[branding]\nname = """\n[wallet]\n"""\ncolor = "#112233"\n',
            '[branding]\nname = "Ada\'s Bakery"\ncolor = "#112233"\n',
        ),
    ],
)
def test_a_section_may_be_missing_empty_commented_or_written_over_several_lines(before: str, after: str) -> None:
    assert checked(before, NAME) == after


@pytest.mark.parametrize(
    "text",
    [
        'branding = { name = "Old" }\n',
        'branding.name = "Old"\n',
        'note = """\n[branding]\n"""\n[server]\nport = 1\n[branding]\nname = "Old"\n',
        '[branding]\n"name" = "Old"\nname.first = "Old"\n',
    ],
)
def test_what_would_not_mean_the_change_has_no_diff(text: str) -> None:
    try:
        after = checked(text, NAME)
    except (NotEditable, tomllib.TOMLDecodeError):
        return
    assert tomllib.loads(after)["branding"]["name"] == "Ada's Bakery"
    assert tomllib.loads(after)["note"] == tomllib.loads(text)["note"]


def test_a_chain_that_is_there_gets_other_nodes_and_keeps_the_rest() -> None:
    preset = config_snippets.find_preset("1")
    other = config_snippets.find_preset("8453")
    text = f"{other.with_nodes(['https://a.example'])}\n\n{preset.lines}\n"
    edit = preset.edit(["https://b.example/key", "https://c.example"])
    after = tomllib.loads(checked(text, edit))
    assert [chain["id"] for chain in after["chains"]] == [8453, 1]
    assert after["chains"][1]["rpc_urls"] == ["https://b.example/key", "https://c.example"]
    assert after["chains"][0] == tomllib.loads(text)["chains"][0]
    assert after["chains"][1]["tokens"] == tomllib.loads(text)["chains"][1]["tokens"]


def test_a_new_chain_goes_to_the_end() -> None:
    preset = config_snippets.find_preset("8453")
    after = checked(EXAMPLE, preset.edit(["https://a.example"]))
    (chain,) = tomllib.loads(after)["chains"]
    assert chain["rpc_urls"] == ["https://a.example"]
    assert all(sign.startswith("+") for sign in signs(EXAMPLE, after))


def test_the_file_is_read_and_never_written(tmp_path: Path) -> None:
    file = tmp_path / "checkout.toml"
    file.write_text('[branding]\nname = "Old"\n', "utf-8")
    found = propose(str(file), NAME)
    assert found.diff == (
        DiffLine(Mark.SAME, "[branding]"),
        DiffLine(Mark.REMOVED, 'name = "Old"'),
        DiffLine(Mark.ADDED, 'name = "Ada\'s Bakery"'),
    )
    assert file.read_text("utf-8") == '[branding]\nname = "Old"\n'
    file.write_text(checked(file.read_text("utf-8"), NAME), "utf-8")
    assert propose(str(file), NAME).diff == ()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"not toml"])
def test_a_file_that_can_not_be_read_has_no_diff(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "checkout.toml"
    assert propose(str(file), NAME).diff is None
    file.write_bytes(content)
    assert propose(str(file), NAME) == propose(None, NAME)


def secret_fields(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of the configuration that aren't shown in its own `repr`."""
    for name, field in model.model_fields.items():
        if not field.repr:
            yield field.alias or name
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from secret_fields(kind)


def test_every_secret_key_of_the_configuration_is_masked() -> None:
    names = sorted(set(secret_fields(Config)))
    assert {"smtp_password", "webhook_secret", "coingecko_api_key", "xpub", "headers"} <= set(names)
    for name in names:
        value = "https://n.example/top-secret" if "url" in name else "top-secret"
        for lines in (
            [f'{name} = "{value}"'],
            [f'# {name} = "{value}"'],
            [f'#{name}="{value}"'],
            [f'{name} = """', f'{value}"""'],
        ):
            assert "top-secret" not in "\n".join(masked(lines))


HIDDEN_LINES: Any = [
    ('rpc_urls = ["https://eth.example/v2/abcdef", "https://u:pw@n.example"]', ["abcdef", "pw", "u:"]),
    ('url = "https://eth.example?apikey=abcdef"', ["abcdef"]),
    ('  "https://eth.example/abcdef",', ["abcdef"]),
    ("# formerly https://eth.example/abcdef", ["abcdef"]),
    ('headers = { Authorization = "Bearer abcdef" }', ["abcdef"]),
    ('mail = { from = "a@b.example", smtp_password = "abcdef" }', ["abcdef"]),
    ('mail.smtp_password = "abcdef"', ["abcdef"]),
    ('#mail . "smtp_password" = "abcdef"', ["abcdef"]),
    ('alerts = {"webhook_secret"="abcdef", webhook_url = "https://n.example/ghijkl"}', ["abcdef", "ghijkl"]),
    ('    {url = "https://n.example", headers = {A = "abcdef"}},', ["abcdef"]),
    ('prices = { coingecko_api_key = "abcdef", sources = ["kraken"] }', ["abcdef"]),
]


@pytest.mark.parametrize(("line", "secrets"), HIDDEN_LINES)
def test_of_a_url_only_its_host_is_shown(line: str, secrets: list[str]) -> None:
    (shown,) = masked([line])
    assert not any(secret in shown for secret in secrets)


def test_headers_of_a_provider_are_masked_whatever_they_are_called_also_below_a_commented_header() -> None:
    lines = [
        "[chains.providers.headers]",
        'X-Api = "abcdef"',
        "#[old]",
        'X-Other = "abcdef"',
        "[log]",
        'level = "info"',
    ]
    shown = masked(lines)
    assert "abcdef" not in "\n".join(shown)
    assert shown[4:] == lines[4:]


def test_what_is_no_secret_is_shown_as_it_is() -> None:
    lines = [
        'smtp_password = ""',
        'public_url = "https://shop.example/pay"',
        'support_url = "https://shop.example/help"',
        'name = "Ada"',
        'tokens = [{ symbol = "USDC", decimals = 6 }]',
        'prices = { quorum = 2, fixed = { "ETH/USD" = "3000" } }',
        "https://shop.example",
    ]
    assert masked(lines) == lines


def test_a_changed_secret_is_a_changed_line() -> None:
    before, after = '[mail]\nsmtp_password = "one"\n', '[mail]\nsmtp_password = "two"\n'
    assert signs(before, after) == ['-smtp_password = "…"', '+smtp_password = "…"']


def test_keys_of_several_sections_are_one_edit() -> None:
    after = tomllib.loads(checked(EXAMPLE, config_snippets.mail_alerts(has_mail=False)))
    assert (after["mail"]["smtp_host"], after["alerts"]["email_to"]) == ("smtp.example.com", ["you@example.com"])


def test_prices_are_one_edit_of_their_section() -> None:
    edit = config_snippets.prices(["coinbase", "kraken"], 2, {"ETH/USD": "3000.00"})
    after = tomllib.loads(checked(EXAMPLE, edit))["prices"]
    assert (after["sources"], after["quorum"], after["fixed"]) == (["coinbase", "kraken"], 2, {"ETH/USD": "3000.00"})
    assert SetValues("prices", {"quorum": "1"}).lines == "[prices]\nquorum = 1"

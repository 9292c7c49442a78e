"""The configuration: the example, the environment, and every mistake at once."""

import re
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from crypto_checkout.app import webhooks
from crypto_checkout.app.web import opens_on_phones
from crypto_checkout.chain.sandbox import chain as sandbox
from crypto_checkout.config import ChainConfig, Config, ConfigInvalid, TokenConfig, example, find_file, load
from crypto_checkout.config.own_prices import SANDBOX_SYMBOLS
from crypto_checkout.core.address import checksum, parse
from crypto_checkout.webhooks.networks import Reach

ROOT = Path(__file__).parent.parent
# The account of the public test mnemonic "test test … junk".
XPUB = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP"
# A published private key (BIP-32, vector 1).
PRIVATE = (
    "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQSAewRiNMjANTtpgP4mLTj34bhnZX7UiM"
)
COLD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
CHAIN = """
[[chains]]
id = 1
name = "Ethereum"
rpc_urls = ["https://node.example/key-that-is-secret"]
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        path = tmp_path / "checkout.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def mistakes(path: Path | None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(ConfigInvalid) as caught:
        load(path, environ or {})
    found = {mistake.path: mistake.expected for mistake in caught.value.mistakes}
    assert len(found) == len(caught.value.mistakes), "one place, one mistake"
    assert all(str(mistake) in str(caught.value) for mistake in caught.value.mistakes)
    return found


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_at_the_root_is_the_one_in_the_package() -> None:
    assert (ROOT / "checkout.toml.example").read_text(encoding="utf-8") == example()


def test_the_example_says_what_the_defaults_are(write: Write, tmp_path: Path) -> None:
    values = load(write(example()), {}).model_dump()
    defaults = Config().model_dump()

    assert values["database"].pop("path") == tmp_path / defaults["database"].pop("path")
    assert values == defaults


def test_the_example_sets_every_scalar_key_and_an_empty_file_means_the_same(write: Write) -> None:
    told = tomllib.loads(example())

    for section, field in Config.model_fields.items():
        if section != "chains":
            assert list(told[section]) == list(_model(field.annotation).model_fields), section
    assert load(write(""), {}) == load(write(example()), {})


def switched_on() -> str:
    text = re.sub(r"(?m)^#(?=[\[a-z])", "", example())
    return text.replace('xpub = ""', f'xpub = "{XPUB}"')


def test_the_presets_are_valid_once_switched_on(write: Write) -> None:
    config = load(write(switched_on()), {})

    assert [(chain.id, chain.native_symbol) for chain in config.chains] == [
        (1, "ETH"),
        (8453, "ETH"),
        (42161, "ETH"),
        (10, "ETH"),
        (137, "POL"),
        (56, "BNB"),
        (100, "XDAI"),
        (43114, "AVAX"),
        (59144, "ETH"),
        (534352, "ETH"),
        (42220, "CELO"),
        (11155111, "ETH"),
        (84532, "ETH"),
    ]
    for chain in config.chains:
        assert chain.tokens[0].symbol in {"USDC", "USDC.e"}
        assert {token.decimals for token in chain.tokens} == {18 if chain.id == 56 else 6}
        assert all(token.usd_pegged == token.symbol.startswith("USD") for token in chain.tokens)
        assert len(chain.rpc_urls) == 2
        assert chain.explorer_url.startswith("https://")


def test_the_presets_write_token_addresses_with_their_checksum() -> None:
    addresses = re.findall(r'address = "(0x.*)"', example())

    assert len(addresses) == len(set(addresses)) == 28
    assert all(checksum(parse(address)) == address for address in addresses)


def test_the_first_preset_says_every_key_and_the_defaults_of_the_optional_ones(write: Write) -> None:
    raw = tomllib.loads(switched_on())["chains"][0]
    chain = load(write(switched_on()), {}).chains[0]

    assert [*raw] == [*ChainConfig.model_fields]
    assert [*raw["tokens"][0]] == [*TokenConfig.model_fields]
    told = {"explorer_url", "confirmation_tiers", "tokens", "id", "name", "rpc_urls", "providers"}  # no useful default
    assert chain.model_dump(exclude=told) == ChainConfig(id=1, name="x", rpc_urls=("https://a",)).model_dump(
        exclude=told
    )


def test_every_key_has_a_comment_above_it() -> None:
    lines = example().splitlines()
    commented = {
        match[1]
        for above, line in pairwise(lines)
        if (match := re.match(r"#?([a-z_]+) = ", line)) and above.startswith("# ")
    }

    assert commented >= set(_keys(Config)) - {"chains", "confirmation_tiers", "tokens"}


def _keys(model: type[BaseModel]) -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        inner = _tables(field.annotation)
        keys += [key for table in inner for key in _keys(table)] if inner else [name]
    return keys


def _tables(annotation: Any) -> list[type[BaseModel]]:
    kinds = (annotation, *getattr(annotation, "__args__", ()))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _model(annotation: Any) -> type[BaseModel]:
    return _tables(annotation)[0]


# --- which file ------------------------------------------------------------------------------------------------------


def test_the_named_file_wins_then_the_environment_then_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"CHECKOUT_CONFIG": "/etc/checkout.toml"}

    assert find_file(Path("mine.toml"), environ) == Path("mine.toml")
    assert find_file(None, environ) == Path("/etc/checkout.toml")
    assert find_file(None, {"CHECKOUT_CONFIG": ""}) is None
    (tmp_path / "checkout.toml").touch()
    assert find_file(None, {}) == Path("checkout.toml")


def test_without_a_file_everything_has_a_default_and_webhooks_may_go_to_loopback() -> None:
    config = load(None, {})

    assert config.local_only
    assert config.path is None
    assert config.chains == ()
    assert webhooks.reach(config) is Reach.LOOPBACK
    assert config.database.path == Path("checkout-data/checkout.db")


def test_without_a_file_the_environment_can_allow_private_networks() -> None:
    config = load(None, {"CHECKOUT__WEBHOOKS__ALLOW_PRIVATE_NETWORKS": "true"})

    assert webhooks.reach(config) is Reach.ANY


def test_with_a_file_webhooks_stay_off_private_networks(write: Write) -> None:
    path = write("")
    config = load(path, {})

    assert webhooks.reach(config) is Reach.PUBLIC
    assert not config.local_only
    assert config.path == path


def test_without_a_file_no_real_money_is_taken() -> None:
    found = mistakes(None, {"CHECKOUT__WALLET__XPUB": XPUB})

    assert "crypto-checkout init" in found["wallet.xpub ($CHECKOUT__WALLET__XPUB)"]


def test_a_named_file_that_is_not_there_leads_to_init(tmp_path: Path) -> None:
    found = mistakes(tmp_path / "other.toml")

    assert found == {
        "other.toml": f"there is no such file; `crypto-checkout --config {tmp_path}/other.toml init` writes one"
    }


def test_a_folder_and_bytes_that_are_no_text_are_explained(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")

    assert "can't be read" in mistakes(tmp_path)[tmp_path.name]
    assert mistakes(tmp_path / "bytes.toml") == {"bytes.toml": "it is not text in UTF-8"}


def test_a_url_file_that_is_not_there_is_named_with_its_folder(write: Write) -> None:
    path = write('[database]\nurl_file = "database-url"\n')
    missing = path.parent / "database-url"

    assert mistakes(path) == {"database.url_file": f"{missing} can't be read: No such file or directory"}


def test_a_syntax_error_names_its_line(write: Write) -> None:
    found = mistakes(write("[server]\nport = 4020\nhost = 127.0.0.1\n"))

    assert "line 3" in found["checkout.toml"]


def test_a_section_pasted_below_another_of_its_name_is_named_with_both_lines(write: Write) -> None:
    found = mistakes(write('[branding]\nname = ""\n[mail]\nfrom = ""\n\n[branding]\nname = "Ada"\n'))

    assert "[branding] is there twice, in lines 1 and 6" in found["checkout.toml"]

    chains = "[[chains]]\n[chains.headers]\na = 1\n[[chains]]\n[chains.headers]\na = 1\nb = \n"
    assert "line 7" in mistakes(write(chains))["checkout.toml"]  # these may be there for each chain


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistakes(write: Write) -> None:
    assert load(write("\ufeff[server]\r\nport = 1\r\n"), {}).server.port == 1


def test_relative_paths_are_taken_from_the_files_folder(write: Write, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").touch()
    config = load(write('database.path = "data/x.db"\nbranding.logo = "logo.svg"'), {})

    assert config.database.path == tmp_path / "data/x.db"
    assert config.branding.logo == tmp_path / "logo.svg"
    assert load(write('database.path = "/var/x.db"'), {}).database.path == Path("/var/x.db")


# --- right values ----------------------------------------------------------------------------------------------------


def test_values_arrive_in_the_types_the_program_uses(write: Write) -> None:
    config = load(
        write(
            f"""
            server.public_url = "https://Pay.Example.com:8443/"
            server.trusted_proxies = ["10.0.0.0/8", "::1"]
            server.port = 0
            wallet.xpub = " {XPUB} "
            sessions.underpayment_tolerance_percent = "0.25"
            prices.fixed = {{ "ETH/USD" = "3000.00", "USDC/EUR" = "0.92" }}
            {CHAIN}
            poll_seconds = 0.5
            start_block = 12345
            explorer_url = "https://etherscan.io/"
            [[chains.tokens]]
            symbol = "USDC"
            address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
            decimals = 6
            """
        ),
        {},
    )

    assert config.server.public_url == "https://pay.example.com:8443"
    assert config.server.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert config.wallet.xpub == XPUB
    assert config.sessions.underpayment_tolerance_percent == Decimal("0.25")
    assert config.prices.fixed == {"ETH/USD": Decimal("3000.00"), "USDC/EUR": Decimal("0.92")}
    (chain,) = config.chains
    assert (chain.poll_seconds, chain.start_block, chain.explorer_url) == (0.5, 12345, "https://etherscan.io")
    assert chain.tokens[0].address == "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
    assert chain.tokens[0].usd_pegged is False


def test_nothing_changes_after_loading() -> None:
    with pytest.raises(ValidationError):
        Config().server.port = 1


def test_neither_the_xpub_nor_the_keys_in_node_urls_show_in_a_repr(write: Write) -> None:
    config = load(write(f'wallet.xpub = "{XPUB}"\n{CHAIN}'), {})

    assert XPUB not in repr(config)
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:4020",
        "http://shop.localhost",
        "http://nas.local",
        "http://192.168.1.5:4020",
        "http://10.1.2.3",
        "http://172.31.0.1",
        "http://[::1]:4020",
        "https://pay.example.com",
        "https://203.0.113.9:8443",
    ],
)
def test_http_is_good_enough_near_by_and_https_everywhere(write: Write, url: str) -> None:
    assert load(write(f'server.public_url = "{url}/"'), {}).server.public_url == url


# --- wrong values ----------------------------------------------------------------------------------------------------

TOKEN = """
[[chains.tokens]]
symbol = "USDC"
address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
decimals = 6
"""
MONEY = f'wallet.xpub = "{XPUB}"\n{CHAIN}'
PEPE = '[[chains.tokens]]\nsymbol = "PEPE"\naddress = "0x6982508145454Ce325dDbE47a25d4ec3d2311933"\ndecimals = '
PROVIDER = "\n[[chains.providers]]\n"
KEYED = PROVIDER + 'url = "https://node.example/other"\nheaders = '
REPEATED = MONEY.replace("urls = [", 'urls = ["https://node.example/key-that-is-secret", ')

WRONG = [
    # the file's form
    ("port = 1", "port", "no such key"),
    ("[serve]\nport = 1", "serve", "did you mean server?"),
    ("server.prot = 1", "server.prot", "did you mean port?"),
    ("server.zzz = 1", "server.zzz", "known keys are host, port, public_url, trusted_proxies"),
    ("server = 4", "server", "a table of keys"),
    ("has_file = true", "has_file", "no such key"),
    ("[chains]\nid = 1", "chains", "write [[chains]], two brackets"),
    # server
    ('server.port = "4020"', "server.port", "a whole number without quotes"),
    ("server.port = true", "server.port", "a whole number"),
    ("server.port = 1.0", "server.port", "a whole number"),
    ("server.port = 65536", "server.port", "a number from 0 to 65535"),
    ("server.host = 0", "server.host", "text in quotes"),
    ('server.host = "http://x"', "server.host", "an IP address or host name"),
    ('server.host = ""', "server.host", "an IP address or host name"),
    ('server.public_url = "pay.example.com"', "server.public_url", "an absolute URL"),
    ('server.public_url = "ftp://pay.example.com"', "server.public_url", "an absolute URL"),
    ('server.public_url = "https://"', "server.public_url", "an absolute URL"),
    ('server.public_url = "https://a:b:c"', "server.public_url", "an absolute URL"),
    ('server.public_url = "https://a:99999"', "server.public_url", "an absolute URL"),
    ('server.public_url = "https://[::1"', "server.public_url", "an absolute URL"),
    ('server.public_url = "https://exämple.com"', "server.public_url", "an absolute URL"),
    ('server.public_url = "https://a b.com"', "server.public_url", "an absolute URL"),
    ('server.public_url = "http://pay.example.com"', "server.public_url", "https://"),
    ('checkout.allow_embedding_from = ["*"]', "checkout.allow_embedding_from[0]", "an absolute URL"),
    ('checkout.allow_embedding_from = ["https://*.example"]', "checkout.allow_embedding_from[0]", "an absolute URL"),
    ('checkout.allow_embedding_from = ["https://a.example;"]', "checkout.allow_embedding_from[0]", "an absolute URL"),
    ('checkout.allow_embedding_from = ["https://a.example/x"]', "checkout.allow_embedding_from[0]", "no path"),
    ('checkout.allow_embedding_from = ["http://a.example"]', "checkout.allow_embedding_from[0]", "https://"),
    ('server.public_url = "http://203.0.113.9"', "server.public_url", "https://"),
    ('server.public_url = "http://172.32.0.1"', "server.public_url", "https://"),
    ('server.public_url = "http://0.0.0.0"', "server.public_url", "https://"),
    ('server.public_url = "http://localhost.evil.com"', "server.public_url", "https://"),
    ('server.public_url = "https://a.com/shop"', "server.public_url", "no path, query or credentials"),
    ('server.public_url = "https://a.com//"', "server.public_url", "no path, query or credentials"),
    ('server.public_url = "https://a.com?"', "server.public_url", "no path, query or credentials"),
    ('server.public_url = "https://a.com/#x"', "server.public_url", "no path, query or credentials"),
    ('server.public_url = "https://u:p@a.com"', "server.public_url", "no path, query or credentials"),
    ('server.trusted_proxies = "10.0.0.1"', "server.trusted_proxies", "a list in brackets"),
    ('server.trusted_proxies = ["proxy"]', "server.trusted_proxies[0]", "an IP address or network"),
    ("server.trusted_proxies = [1]", "server.trusted_proxies[0]", "an IP address or network"),
    ('server.trusted_proxies = ["10.0.0.1/8"]', "server.trusted_proxies[0]", "host bits"),
    # database, wallet
    ('database.path = ""', "database.path", "the path of a file"),
    ('database.path = "data/"', "database.path", "the path of a file"),
    ("database.path = 1", "database.path", "the path of a file"),
    (f'wallet.xpub = "{PRIVATE}"', "wallet.xpub", "never put it on a server"),
    (f'wallet.cold_address = "{COLD.lower()}"', "wallet.cold_address", "EIP-55"),
    (f'wallet.cold_address = "{"ab" * 32}"', "wallet.cold_address", "never put it on a server"),
    (f'wallet.xpub = "{XPUB[:-1]}"', "wallet.xpub", "checksum"),
    ('wallet.xpub = "test test junk"', "wallet.xpub", "recovery phrase"),
    ('wallet.mnemonic = "test test junk"', "wallet.mnemonic", "no such key"),
    # sessions
    ("sessions.ttl_seconds = 59", "sessions.ttl_seconds", "a number from 60 to 86400"),
    ("sessions.ttl_seconds = 86401", "sessions.ttl_seconds", "a number from 60 to 86400"),
    ("sessions.late_grace_seconds = -1", "sessions.late_grace_seconds", "a number from 0"),
    ("sessions.overpayment_tolerance_percent = 5", "sessions.overpayment_tolerance_percent", 'in quotes: "5"'),
    ("sessions.underpayment_tolerance_percent = 0.1", "sessions.underpayment_tolerance_percent", 'in quotes: "0.1"'),
    ('sessions.underpayment_tolerance_percent = "51"', "sessions.underpayment_tolerance_percent", "from 0 to 50"),
    ('sessions.underpayment_tolerance_percent = "5%"', "sessions.underpayment_tolerance_percent", "from 0 to 50"),
    ('sessions.underpayment_tolerance_percent = "1e1"', "sessions.underpayment_tolerance_percent", "from 0 to 50"),
    ('sessions.underpayment_tolerance_percent = "-1"', "sessions.underpayment_tolerance_percent", "from 0 to 50"),
    ('sessions.underpayment_tolerance_percent = "٣"', "sessions.underpayment_tolerance_percent", "from 0 to 50"),
    ("sessions.underpayment_tolerance_percent = true", "sessions.underpayment_tolerance_percent", "from 0 to 50"),
    # prices
    ('prices.sources = ["binance"]', "prices.sources[0]", 'one of "chainlink", "coinbase", "kraken", "coingecko"'),
    ('prices.sources = ["kraken", "kraken"]', "prices.sources", "each entry once"),
    ("prices.quorum = 0", "prices.quorum", "a number from 1"),
    ("prices.quorum = 5", "prices.quorum", "5 sources must agree but only 3 can answer"),
    ("prices.sources = []", "prices.quorum", "1 sources must agree but only 0 can answer"),
    ('prices.quorum = 3\nprices.sources = ["kraken"]\nprices.fixed = {"ETH/USD" = "1"}', "prices.quorum", "only 1 can"),
    ('prices.fixed = {"ETH" = "1"}', "prices.fixed.ETH", "a pair"),
    ('prices.fixed = {"ETH/usd" = "1"}', 'prices.fixed."ETH/usd"', "a pair"),
    ('prices.fixed = {"ETH/USD" = 3000.0}', 'prices.fixed."ETH/USD"', "in quotes"),
    ('prices.fixed = {"ETH/USD" = "0"}', 'prices.fixed."ETH/USD"', "a number from 0.000"),
    ("prices.fixed = []", "prices.fixed", "a table in braces"),
    ('prices.fixed = {"eth/USD" = "1"}', 'prices.fixed."eth/USD"', 'written ETH here, so write "ETH/USD"'),
    ('prices.fixed = {"USD/ETH" = "1"}', 'prices.fixed."USD/ETH"', 'the coin comes first, as in "ETH/USD"'),
    (
        'prices.fixed = {"WETH/USD" = "1"}',
        'prices.fixed."WETH/USD"',
        "no chain here takes WETH; the coins are ETH, USDC",
    ),
    ('prices.fixed = {"ETH/QQQ" = "1"}', 'prices.fixed."ETH/QQQ"', "QQQ is no currency of ISO 4217"),
    ('prices.fixed = {"USD/USD" = "1"}', 'prices.fixed."USD/USD"', "one USD is one USD"),
    (
        f'prices.fixed = {{"USD/EUR" = "1"}}\ntest_mode.enabled = false\nwallet.xpub = "{XPUB}"\n{CHAIN}',
        'prices.fixed."USD/EUR"',
        "tokens with usd_pegged = true, and there is none",
    ),
    ('prices.coingecko_api_key = "CG-1"', "prices.sources", 'must include "coingecko"'),
    (
        'prices.sources = ["coingecko"]\nprices.coingecko_api_key = "CG-1\\nHost: x"',
        "prices.coingecko_api_key",
        "one line of ASCII",
    ),
    ('prices.max_spread_percent = "0"', "prices.max_spread_percent", "a number from 0.01"),
    ("prices.max_age_seconds = 0", "prices.max_age_seconds", "a number from 1"),
    # the rest
    ("webhooks.retry_seconds = [0]", "webhooks.retry_seconds[0]", "a number from 1"),
    ('webhooks.retry_seconds = ["60"]', "webhooks.retry_seconds[0]", "a whole number"),
    ("webhooks.retry_seconds = [1.5]", "webhooks.retry_seconds[0]", "a whole number"),
    (f"webhooks.retry_seconds = {[1] * 21}", "webhooks.retry_seconds", "a shorter list"),
    ("webhooks.timeout_seconds = 0", "webhooks.timeout_seconds", "a number from 1"),
    ("webhooks.concurrency = 0", "webhooks.concurrency", "a number from 1"),
    ('webhooks.allow_private_networks = "no"', "webhooks.allow_private_networks", "true or false"),
    ("rate_limit.per_second = 0", "rate_limit.per_second", "a number from 1"),
    ("rate_limit.burst = 0", "rate_limit.burst", "a number from 1"),
    ("test_mode.enabled = 1", "test_mode.enabled", "true or false"),
    ('branding.name = "a\\nb"', "branding.name", "one line"),
    ('branding.logo = "none.png"', "branding.logo", "there is none at"),
    ('branding.logo = "checkout.toml"', "branding.logo", "an existing image file (svg, png, jpg, jpeg, webp)"),
    ('branding.color = "blue"', "branding.color", 'a color like "#1d55c9"'),
    ('branding.color = "#abc"', "branding.color", 'a color like "#1d55c9"'),
    ('branding.support_email = "Ada <ada@example.com>"', "branding.support_email", "an email address"),
    ('branding.support_url = "/help"', "branding.support_url", "an absolute URL"),
    ('branding.support_url = "javascript:alert(1)"', "branding.support_url", "an absolute URL"),
    ('branding.support_url = "http://shop.example/help"', "branding.support_url", "https://… for a public host"),
    ('updates.check_url = "http://releases.example/latest"', "updates.check_url", "an absolute URL (https://…)"),
    ('updates.check_url = "https://releases.example/?shop=ada"', "updates.check_url", "without credentials or a query"),
    ('updates.check_url = "https://ada@releases.example/"', "updates.check_url", "without credentials or a query"),
    ('branding.terms_url = "https://ada@shop.example/"', "branding.terms_url", "https://… for a public host"),
    ("events.retention_days = -1", "events.retention_days", "a number from 0"),
    ('log.level = "INFO"', "log.level", 'one of "debug", "info", "warning", "error"'),
    ('log.format = "xml"', "log.format", 'one of "auto", "console", "json"'),
    # chains
    (CHAIN, "wallet.xpub", "the extended public key of your wallet"),
    ('wallet.cold_label = "shop"', "wallet.cold_address", "a cold_label that belongs to it"),
    (
        f'wallet.cold_address = "{COLD}"\n{CHAIN}tokens = [{{symbol = "T", address = "{COLD}", decimals = 6}}]',
        "wallet.cold_address",
        "the contract of a token",
    ),
    (f'wallet.xpub = "{XPUB}"\n[[chains]]\nid = 5\nname = "X"', "chains[0].rpc_urls", "is required"),
    (MONEY.replace("id = 1", "id = 1337"), "chains[0].id", "1337 is the simulated chain"),
    (MONEY.replace("id = 1", "id = 0"), "chains[0].id", "from 1 up"),
    (MONEY.replace("id = 1", "id = 1\nconfirm_with = 2"), "chains[0].confirm_with", "rpc_urls has 1"),
    (MONEY + CHAIN, "chains[1].id", "chains[0] has the id 1 already"),
    (MONEY.replace('"Ethereum"', '" "'), "chains[0].name", "not empty"),
    (MONEY.replace("rpc_urls = [", "rpc_urls = [] # ["), "chains[0].rpc_urls", "at least one entry"),
    (MONEY.replace("https:", "file:"), "chains[0].rpc_urls[0]", "an absolute URL (https://… or http://…)"),
    (MONEY.replace("https://node.example/key-that-is-secret", "x"), "chains[0].rpc_urls[0]", "an absolute URL"),
    (MONEY.replace("https:", "wss:"), "chains[0].rpc_urls[0]", "the provider's https:// URL"),
    (MONEY.replace("https:", "ws:"), "chains[0].rpc_urls[0]", "the provider's https:// URL"),
    (MONEY + PROVIDER + 'url = "wss://node.example/k"', "chains[0].providers[0].url", "the provider's https:// URL"),
    (MONEY + PROVIDER + "headers = {}", "chains[0].providers[0].url", "is required"),
    (MONEY + KEYED + "{Host = 'x'}", "chains[0].providers[0].headers.Host", "this one is the server's own"),
    (MONEY + KEYED + "{'a b' = 'x'}", "chains[0].providers[0].headers.a b", "the name of a header"),
    (MONEY + KEYED + "{X-Key = 'a\tb'}", "chains[0].providers[0].headers.X-Key", "one line of ASCII"),
    (MONEY + KEYED + "{X-Key = ''}", "chains[0].providers[0].headers.X-Key", "one line of ASCII"),
    (MONEY + KEYED + "{X-Key = '${KEY}'}", "chains[0].providers[0].headers.X-Key", "$KEY is not set"),
    (MONEY + KEYED + "'k'", "chains[0].providers[0].headers", "a table in braces"),
    (MONEY + "confirm_with = 3" + KEYED + "{}", "chains[0].confirm_with", "rpc_urls and providers have 2"),
    (MONEY + 'providers = "x"', "chains[0].providers", "write [[chains.providers]], two brackets"),
    (REPEATED, "chains[0].rpc_urls", "each entry once; numbers 1 and 2 are the same"),
    (MONEY + "confirmations = 0", "chains[0].confirmations", "a number from 1 to 1000"),
    (MONEY + 'finality = "fast"', "chains[0].finality", 'one of "depth", "safe", "finalized"'),
    (MONEY + "poll_seconds = 0", "chains[0].poll_seconds", "a number from 0.05"),
    (MONEY + "poll_seconds = nan", "chains[0].poll_seconds", "a number from 0.05"),
    (MONEY + "poll_seconds = true", "chains[0].poll_seconds", "a number without quotes"),
    (MONEY + 'explorer_url = "etherscan.io"', "chains[0].explorer_url", "an absolute URL"),
    (MONEY + 'native_symbol = "€"', "chains[0].native_symbol", "a symbol like USDC"),
    (MONEY + "start_block = -1", "chains[0].start_block", '"latest", or the number'),
    (MONEY + 'start_block = "first"', "chains[0].start_block", '"latest", or the number'),
    (MONEY + "start_block = true", "chains[0].start_block", '"latest", or the number'),
    (MONEY + "[chains.tokens]", "chains[0].tokens", "write [[chains.tokens]], two brackets"),
    (MONEY + TOKEN.replace("USDC", "ETH"), "chains[0].tokens[0].symbol", "the native coin has the symbol"),
    (MONEY + TOKEN + PEPE.replace("PEPE", "usdc") + "6", "chains[0].tokens[1].symbol", "tokens[0] has the symbol"),
    (MONEY + TOKEN + TOKEN.replace("USDC", "X"), "chains[0].tokens[1].address", "tokens[0] has the address"),
    (MONEY + TOKEN.replace("0xA0b", "0xa0b"), "chains[0].tokens[0].address", "checksum (EIP-55)"),
    (MONEY + TOKEN.replace("eB48", ""), "chains[0].tokens[0].address", "40 hexadecimal digits"),
    (MONEY + PEPE + "37", "chains[0].tokens[0].decimals", "a number from 0 to 36"),
]


@pytest.mark.parametrize(("text", "place", "why"), WRONG, ids=[f"{place}-{i}" for i, (_, place, _) in enumerate(WRONG)])
def test_a_wrong_value_is_the_one_mistake_named(write: Write, text: str, place: str, why: str) -> None:
    found = mistakes(write(text))

    assert list(found) == [place]
    assert why in found[place]


@pytest.mark.parametrize("text", [REPEATED, MONEY.replace("https:", "ftp:"), MONEY.replace("https:", "https://[:")])
def test_the_key_in_a_nodes_url_is_not_repeated(write: Write, text: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(write(text), {})

    assert "secret" not in str(caught.value)


def test_every_mistake_comes_at_once_with_contradictions_between_wrong_values(write: Write) -> None:
    path = write(
        """
        [server]
        port = "4020"
        public_url = "http://pay.example.com"
        [prices]
        quorum = 9
        sources = ["kraken"]
        [[chains]]
        id = 1
        name = "One"
        rpc_urls = []
        native_symbol = "ETH"
        [[chains.tokens]]
        symbol = "ETH"
        address = "0x12"
        decimals = 99
        [[chains]]
        id = 1
        """
    )

    with pytest.raises(ConfigInvalid) as caught:
        load(path, {"CHECKOUT__LOG__LEVEL": "loud", "CHECKOUT__LOG__COLOUR": "red"})

    assert [mistake.path for mistake in caught.value.mistakes] == [
        "$CHECKOUT__LOG__COLOUR",
        "chains[0].rpc_urls",
        "chains[0].tokens[0].address",
        "chains[0].tokens[0].decimals",
        "chains[0].tokens[0].symbol",
        "chains[1].id",
        "chains[1].name",
        "chains[1].rpc_urls",
        "log.level ($CHECKOUT__LOG__LEVEL)",
        "prices.quorum",
        "server.port",
        "server.public_url",
        "wallet.xpub",
    ]
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path} has 13 mistakes:"
    assert '  server.port: expected a whole number without quotes (got "4020")' in lines


@pytest.mark.parametrize(
    "text",
    [
        f'wallet.xpub = "{PRIVATE}"',
        f'wallet.xpub = ["{PRIVATE}"]',
        f'wallet.cold_address = "{PRIVATE}"',
        f'wallet = "{PRIVATE}"',
        f'wallet.key = "{PRIVATE}"',
        f'xpub = "{PRIVATE}"',
        f'server.public_url = "https://me:{PRIVATE[8:22]}@pay.example.com"',
        f'chains = [{{id = 5, name = "x", rpc_urls = ["ftp://node.example/{PRIVATE}"]}}]\nwallet.xpub = "{XPUB}"',
        f'chains = [{{id = 5, name = "x", rpc_urls = ["wss://node.example/{PRIVATE}"]}}]\nwallet.xpub = "{XPUB}"',
        f'chains = [{{id = 5, name = "x", providers = [{{url = "ftp://node.example/{PRIVATE}"}}]}}]',
        f'chains = [{{id = 5, name = "x", providers = [{{url = "https://a", headers = {{X-Key = "ä{PRIVATE}"}}}}]}}]',
        f'chains = [{{id = 5, name = "x", providers = [{{url = "https://a", headers = "{PRIVATE}"}}]}}]',
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(write: Write, text: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(write(text), {})

    assert PRIVATE[10:20] not in str(caught.value)


def test_a_provider_with_headers_needs_no_rpc_urls_and_takes_its_key_from_the_environment(write: Write) -> None:
    text = MONEY.replace("rpc_urls", "# rpc_urls") + KEYED + '{Authorization = "Bearer ${NODE_KEY}", X-Other = "$5"}'

    config = load(write(text), {"NODE_KEY": "k-123456"})

    (provider,) = config.chains[0].providers
    assert provider.headers == {"Authorization": "Bearer k-123456", "X-Other": "$5"}
    assert "k-123456" not in repr(config)
    assert "node.example" not in repr(config)


@pytest.mark.parametrize("name", ["NODE_KEY", "NODE-KEY", ""])
def test_a_header_is_never_sent_with_a_variable_that_is_not_set(write: Write, name: str) -> None:
    text = MONEY + KEYED + f'{{Authorization = "Bearer ${{{name}}}"}}'

    with pytest.raises(ConfigInvalid) as caught:
        load(write(text), {})

    place = "chains[0].providers[0].headers.Authorization"
    assert f"{place}: ${name} is not set in the environment" in str(caught.value)


@pytest.mark.parametrize("variable", ["$NODE_KEY", "${NODE_KEY}"])
def test_a_variable_in_an_url_is_refused_because_it_would_be_sent_as_it_stands(write: Write, variable: str) -> None:
    for text in (
        MONEY.replace("https://", f"https://{variable}."),
        MONEY + PROVIDER + f'url = "https://n.example/{variable}"',
    ):
        with pytest.raises(ConfigInvalid) as caught:
            load(write(text), {"NODE_KEY": "k-123456"})
        assert "variables are filled in headers only" in str(caught.value)


def test_a_variable_without_braces_in_a_header_is_refused(write: Write) -> None:
    text = MONEY + KEYED + '{Authorization = "Bearer $NODE_KEY"}'
    with pytest.raises(ConfigInvalid) as caught:
        load(write(text), {"NODE_KEY": "k-123456"})
    assert "headers.Authorization: expected ${NODE_KEY}, with braces" in str(caught.value)


# --- the environment -------------------------------------------------------------------------------------------------


def test_the_environment_overrides_the_file(write: Write) -> None:
    path = write("server.port = 1\nprices.quorum = 2")
    environ = {
        "CHECKOUT_CONFIG": "elsewhere",
        "CHECKOUT__SERVER__PORT": "8080",
        "CHECKOUT__SERVER__HOST": "0.0.0.0",  # noqa: S104
        "CHECKOUT__SERVER__TRUSTED_PROXIES": '["10.0.0.1"]',
        "CHECKOUT__TEST_MODE__ENABLED": "false",
        "CHECKOUT__WEBHOOKS__RETRY_SECONDS": "[1, 2]",
        "CHECKOUT__PRICES__FIXED": '{ "ETH/USD" = "3000" }',
        "CHECKOUT__SESSIONS__UNDERPAYMENT_TOLERANCE_PERCENT": "0.5",
        "CHECKOUT__BRANDING__NAME": "1234",
        "CHECKOUT__LOG__LEVEL": '"debug"',
        "CHECKOUT__WALLET__XPUB": XPUB,
        "OTHER__THING": "x",
    }

    config = load(path, environ)

    assert (config.server.port, config.server.host) == (8080, "0.0.0.0")  # noqa: S104
    assert config.prices.quorum == 2
    assert [str(network) for network in config.server.trusted_proxies] == ["10.0.0.1/32"]
    assert not config.test_mode.enabled
    assert config.webhooks.retry_seconds == (1, 2)
    assert config.prices.fixed == {"ETH/USD": Decimal(3000)}
    assert config.sessions.underpayment_tolerance_percent == Decimal("0.5")
    assert config.branding.name == "1234"
    assert config.log.level == "debug"
    assert config.wallet.xpub == XPUB


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 5, "name": "Five", "rpc_urls": ["https://a"], "poll_seconds": 1}]',
        '[{id = 5, name = "Five", rpc_urls = ["https://a"], poll_seconds = 1}]',
    ],
    ids=["JSON", "TOML"],
)
def test_all_chains_may_come_from_one_variable(write: Write, text: str) -> None:
    config = load(write(f'wallet.xpub = "{XPUB}"'), {"CHECKOUT__CHAINS": text})

    assert [chain.name for chain in config.chains] == ["Five"]


@pytest.mark.parametrize(
    "name",
    [
        "CHECKOUT__SERVER",
        "CHECKOUT__SERVER__PROT",
        "CHECKOUT__SERVE__PORT",
        "CHECKOUT__SERVER__PORT__X",
        "CHECKOUT__CHAINS__0__ID",
        "CHECKOUT__CHAINS__ID",
        "CHECKOUT__",
        "CHECKOUT__PATH",
    ],
)
def test_a_variable_that_names_no_key_is_a_mistake(name: str) -> None:
    assert list(mistakes(None, {name: "1"})) == [f"${name}"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("CHECKOUT__SERVER__PORT", "eighty", "a whole number"),
        ("CHECKOUT__SERVER__PORT", "", "a whole number"),
        ("CHECKOUT__SERVER__PORT", '"80"', "a whole number"),
        ("CHECKOUT__SERVER__PORT", "1\nhost = 2", "a whole number"),
        ("CHECKOUT__TEST_MODE__ENABLED", "yes", "true or false"),
        ("CHECKOUT__PRICES__SOURCES", "kraken", "a list in brackets"),
        ("CHECKOUT__LOG__LEVEL", "1", "one of"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str, why: str) -> None:
    (found,) = mistakes(None, {name: value}).items()

    assert f"(${name})" in found[0]
    assert why in found[1]


def test_an_override_of_a_section_that_is_no_table_is_no_crash(write: Write) -> None:
    assert mistakes(write("server = 1"), {"CHECKOUT__SERVER__PORT": "1"}) == {"server": "expected a table of keys"}


def test_a_descriptor_becomes_the_bare_key(write: Write) -> None:
    text = f"wallet.xpub = \"[1a2b3c4d/44'/60'/0']{XPUB}/0/*\"\n{CHAIN}"
    assert load(write(text), {}).wallet.xpub == XPUB


def test_own_prices_of_the_coins_of_test_mode_are_used() -> None:
    assert {asset.symbol: asset.usd_pegged for asset in sandbox.ASSETS} == SANDBOX_SYMBOLS


def test_own_prices_of_what_the_chains_take_are_used(write: Write) -> None:
    prices = '{ "POL/EUR" = "1", "axlUSDC/EUR" = "1", "USDC/USD" = "1", "USD/EUR" = "1", "ETH/USD" = "1" }'
    config = load(
        write(
            f"""
            prices.fixed = {prices}
            wallet.xpub = "{XPUB}"
            {CHAIN}
            native_symbol = "POL"
            [[chains.tokens]]
            symbol = "axlUSDC"
            address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
            decimals = 6
            """
        ),
        {},
    )
    assert len(config.prices.fixed) == 5


# --- keys that moved -------------------------------------------------------------------------------------------------

OLD_MAIL = """
[alerts]
email_to = ["ada@example.com"]
email_from = "shop@example.com"
smtp_host = "mail.example.com"
smtp_port = 465
smtp_security = "tls"
smtp_user = "shop"
"""


def test_the_mail_servers_old_keys_work_and_a_note_says_where_they_are_now(write: Write) -> None:
    config = load(write(OLD_MAIL), {"CHECKOUT__ALERTS__SMTP_PASSWORD": "secret word"})

    mail = config.mail
    assert (mail.sender, mail.smtp_host, mail.smtp_port, mail.smtp_security) == (
        "shop@example.com",
        "mail.example.com",
        465,
        "tls",
    )
    assert (mail.smtp_user, mail.smtp_password) == ("shop", "secret word")
    assert [note.partition(" ")[0] for note in config.notes] == [
        "alerts.email_from",
        "alerts.smtp_host",
        "alerts.smtp_port",
        "alerts.smtp_security",
        "alerts.smtp_user",
        "alerts.smtp_password",
    ]
    assert not any("secret word" in note for note in config.notes)


def test_the_old_keys_of_a_file_that_never_set_them_say_nothing(write: Write) -> None:
    untouched = (
        '[alerts]\nemail_from = ""\nsmtp_host = ""\nsmtp_port = 587\nsmtp_security = "starttls"\nsmtp_user = ""\n'
    )
    config = load(write(f"{untouched}[mail]\nsmtp_port = 465\n"), {})

    assert (config.mail.smtp_port, config.notes) == (465, ())


def test_an_old_key_may_repeat_the_new_one_and_not_contradict_it(write: Write) -> None:
    moved = '[mail]\nfrom = "shop@example.com"\nsmtp_host = "mail.example.com"\nsmtp_port = 465\n'
    assert load(write(OLD_MAIL + moved), {}).mail.smtp_host == "mail.example.com"

    with pytest.raises(ConfigInvalid) as caught:
        load(write(OLD_MAIL + moved.replace("mail.example", "other.example")), {})
    assert [mistake.path for mistake in caught.value.mistakes] == ["mail.smtp_host"]
    assert "alerts.smtp_host" in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "places"),
    [
        ('[alerts]\nemail_to = ["ada@example.com"]', ["mail.from", "mail.smtp_host"]),
        ("[mail]\nreceipts = true", ["mail.from", "mail.smtp_host"]),
        ('[mail]\nnotify_paid = "each"\nfrom = "a@b.example"\nsmtp_host = "m.example"', ["mail.notify_to"]),
        ('[mail]\nsmtp_host = "mail.example.com"\nsmtp_user = "u"\nsmtp_security = "none"', ["mail.smtp_security"]),
        ('[mail]\ntime_zone = "Atlantis/Main"', ["mail.time_zone"]),
        ('[mail]\ntime_zone = "../../etc/passwd"', ["mail.time_zone"]),
        ('[mail]\nfrom = "a@b.example\\nBcc: x@y.example"', ["mail.from"]),
        ('[branding]\naddress = "1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n9"', ["branding.address"]),
    ],
)
def test_mail_that_could_not_be_sent_is_a_mistake(toml: str, places: list[str], write: Write) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(write(toml), {})
    assert [mistake.path for mistake in caught.value.mistakes] == places


@pytest.mark.parametrize(
    ("public_url", "is_so"),
    [
        ("https://pay.example.com", True),
        ("https://xn--bcher-kva.example:8443", True),
        ("https://203.0.113.7", True),
        ("http://127.0.0.1:4020", False),
        ("https://127.0.0.1:4020", False),
        ("https://localhost", False),
        ("https://shop.local", False),
        ("http://192.168.1.5", False),
        ("https://192.168.1.5", False),
        ("https://[::1]", False),
    ],
)
def test_wallet_apps_are_offered_where_a_phone_can_come_by_https(public_url: str, is_so: bool) -> None:
    assert opens_on_phones(Config.model_validate({"server": {"public_url": public_url}})) is is_so


@pytest.mark.parametrize(
    "backup",
    ['passphrase = "too short"', 'age_recipients = ["AGE-SECRET-KEY-1QQ"]', 'age_recipients = "AGE-SECRET-KEY-1"'],
)
def test_what_opens_backups_is_never_repeated(write: Write, backup: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        load(write(f"[backup]\n{backup}\n"), {})
    assert "backup." in str(refused.value)
    assert "too short" not in str(refused.value)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("folder", ["checkout-data", "checkout-data/", "./checkout-data/../checkout-data"])
def test_backups_need_a_folder_of_their_own(write: Write, folder: str) -> None:
    """Beside the database the two would share one lock, and no backup could begin."""
    with pytest.raises(ConfigInvalid) as refused:
        load(write(f'[backup]\nfolder = "{folder}"\n'), {})
    assert "backup.folder: expected a folder of its own, not that of the database" in str(refused.value)


def test_a_slash_after_the_folder_of_backups_changes_nothing(write: Write) -> None:
    path = write('[backup]\nfolder = "copies/"\n')
    assert load(path, {}).backup_folder == path.parent / "copies"

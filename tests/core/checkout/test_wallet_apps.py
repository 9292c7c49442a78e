"""Links that open a page in a wallet app: read back as each app does, they are the page again."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.checkout.wallet_apps import WALLET_APPS, WalletApp
from crypto_checkout.http.docs.contents import FOLDER

PAGE = "https://pay.example.com/checkout/cs_01JDC3M5GZ0000000000000000"
PAGES = (
    PAGE,
    f"{PAGE}?lang=de",
    f"{PAGE}?lang=de&next=%2Fa%20b#part",
    "https://xn--bcher-kva.example:8443/checkout/cs_1",
    "https://203.0.113.7/checkout/cs_1",
)


def behind(prefix: str) -> Callable[[str], str]:
    """Read a page as MetaMask does, which puts https:// in place of its own address."""

    def read(link: str) -> str:
        assert link.startswith(prefix)
        return "https://" + link.removeprefix(prefix)

    return read


def parameter(address: str, name: str) -> Callable[[str], str]:
    """Read a page out of a parameter of an address."""

    def read(link: str) -> str:
        parts = urlsplit(link)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == address
        assert parts.fragment == ""
        (value,) = parse_qs(parts.query, strict_parsing=True)[name]
        return value

    return read


def of_okx(link: str) -> str:
    """Read a page out of the link to the app, which is itself in a parameter."""
    return parameter("okx://wallet/dapp/url", "dappUrl")(parameter("https://web3.okx.com/download", "deeplink")(link))


READERS = {
    "MetaMask": behind("https://link.metamask.io/dapp/"),
    "Trust Wallet": parameter("https://link.trustwallet.com/open_url", "url"),
    "Coinbase / Base": parameter("https://go.cb-w.com/dapp", "cb_url"),
    "OKX Wallet": of_okx,
    "Rainbow": parameter("https://rnbwapp.com/dapp", "url"),
}


def test_every_app_has_a_name_of_its_own_and_a_source() -> None:
    assert {app.name for app in WALLET_APPS} == set(READERS)
    assert len(WALLET_APPS) == len(READERS)
    for app in WALLET_APPS:
        assert app.source.startswith("https://")
        assert app.link.startswith("https://")


@pytest.mark.parametrize("app", WALLET_APPS, ids=lambda app: app.name)
@pytest.mark.parametrize("page", PAGES)
def test_the_app_opens_the_very_page(app: WalletApp, page: str) -> None:
    assert READERS[app.name](app.link_to(page)) == page


@given(page=st.text(st.sampled_from("abz019-._~:/?#[]@!$&'()*+,;=%{}ü€"), max_size=40).map(lambda rest: PAGE + rest))
def test_whatever_is_in_the_page_stays_in_it(page: str) -> None:
    for app in WALLET_APPS:
        assert READERS[app.name](app.link_to(page)) == page


@pytest.mark.parametrize("page", ["http://pay.example.com/checkout/cs_1", "javascript:alert(1)", "ethereum:0x1", ""])
@pytest.mark.parametrize("app", WALLET_APPS, ids=lambda app: app.name)
def test_nothing_but_https_is_opened(app: WalletApp, page: str) -> None:
    with pytest.raises(ValueError, match="https pages only"):
        app.link_to(page)


def test_the_guide_lists_every_app_with_its_link_and_its_source() -> None:
    guide = (FOLDER / "payment-pages.md").read_text("utf-8")
    rows = [line for line in guide.splitlines() if line.startswith("|") and "https://" in line]
    assert len(rows) == len(WALLET_APPS)
    for row, app in zip(rows, WALLET_APPS, strict=True):
        assert row.startswith(f"| {app.name} | ")
        assert row.endswith(f"]({app.source}) | `{app.link}` |")

"""Wallet apps of phones, and the links with which each opens a page in a browser of its own.

There the wallet is in the page (EIP-1193), which asks it for the payment itself. A link that asks an app for a token
would be shorter, but some misread it (EIP-681) and send to the token's contract.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

_SCHEME = "https://"


@dataclass(frozen=True, slots=True)
class WalletApp:
    """An app that opens pages by a link of the web, which leads to the app's own site where it isn't installed.

    `link` has one place for the page's URL: `{bare}` takes it without `https://`, `{encoded}` percent-encoded, and
    `{twice}` so encoded twice. `source` says where its maker publishes the format.
    """

    name: str
    link: str
    source: str

    def link_to(self, page: str) -> str:
        """Return the link that opens an https page in the app. Raises ValueError for any other URL."""
        if not page.startswith(_SCHEME):
            raise ValueError(f"wallet apps open https pages only, and this is {page[:20]!r}")
        encoded = quote(page, safe="")
        return self.link.format(bare=page.removeprefix(_SCHEME), encoded=encoded, twice=quote(encoded, safe=""))


WALLET_APPS: Sequence[WalletApp] = (
    WalletApp(
        "MetaMask",
        "https://link.metamask.io/dapp/{bare}",
        "https://docs.metamask.io/metamask-connect/evm/guides/metamask-exclusive/use-deeplinks/",
    ),
    WalletApp(
        "Trust Wallet",
        # The coin (SLIP-44) is only the one to begin with: the page asks for its own network.
        "https://link.trustwallet.com/open_url?coin_id=60&url={encoded}",
        "https://developer.trustwallet.com/developer/develop-for-trust/deeplinking",
    ),
    WalletApp(
        "Coinbase / Base",
        "https://go.cb-w.com/dapp?cb_url={encoded}",
        "https://docs.cdp.coinbase.com/coinbase-wallet/developer-guidance/mobile-dapp-integration",
    ),
    WalletApp(
        "OKX Wallet",
        "https://web3.okx.com/download?deeplink=okx%3A%2F%2Fwallet%2Fdapp%2Furl%3FdappUrl%3D{twice}",
        "https://web3.okx.com/build/docs/waas/app-universal-link",
    ),
    WalletApp(
        "Rainbow",
        "https://rnbwapp.com/dapp?url={encoded}",
        "https://github.com/rainbow-me/rainbow/blob/develop/src/handlers/deeplinks.ts",
    ),
)
"""The apps that pages offer, in this order. Which of them were tried on a phone is in the guide *Payment pages*."""


def links_to(page: str) -> Mapping[str, str]:
    """Return the links that open an https page in the apps, by their names. Raises ValueError for any other URL."""
    return {app.name: app.link_to(page) for app in WALLET_APPS}

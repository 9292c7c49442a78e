"""Settings, Wallet: the wallet that gets the money, and another one looked at. Nothing typed in is stored."""

import asyncio

from starlette.responses import Response

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect.destination import parse_destination
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.http.dashboard.frame.forms import sentence
from crypto_checkout.http.dashboard.frame.proposals import proposal
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.reporting import config_snippets
from crypto_checkout.services.reporting.setup_progress import is_wallet_compared

PATH = "/settings/wallet"

_MOST_XPUB = 4000


async def show(request: DashboardRequest) -> Response:
    """Show the first addresses of the configured wallet."""
    return await _page(request, None)


async def preview_cold_address(request: DashboardRequest) -> Response:
    """Check a cold address, and show the lines for it."""
    text = request.form.text("cold_address", _MOST_XPUB)
    destination = None
    if request.form.is_valid:
        try:
            destination = parse_destination(text)
        except ValueError as error:
            # As below.
            request.form.forget("cold_address")
            request.form.errors["cold_address"] = sentence(str(error))
    return await _page(request, None, destination)


async def preview(request: DashboardRequest) -> Response:
    """Show the first addresses of another wallet, and the lines for it."""
    text = request.form.text("xpub", _MOST_XPUB)
    offered = None
    if request.form.is_valid:
        try:
            offered = await asyncio.to_thread(config_snippets.preview, text)
        except ValueError as error:
            # It may be a private key or a seed phrase, which no page may repeat.
            request.form.forget("xpub")
            request.form.errors["xpub"] = sentence(str(error))
    return await _page(request, offered)


async def confirm(request: DashboardRequest) -> Response:
    """Record that the addresses on the page are those of the owner's wallet program."""
    wallet_id = request.form.value("wallet")
    xpub = request.services.settings.xpub
    now = await asyncio.to_thread(config_snippets.preview, xpub) if xpub else None
    if now is None or now.wallet_id != wallet_id:
        return request.redirect(PATH, "The wallet has changed meanwhile. Compare its addresses.")
    await request.write(lambda _: None, Action.WALLET_COMPARED, subject=lambda _: wallet_id)
    return request.redirect(PATH, "Confirmed: these are the addresses of your wallet.")


async def _page(
    request: DashboardRequest, offered: config_snippets.WalletPreview | None, destination: Address | None = None
) -> Response:
    edit = config_snippets.cold_address(destination) if destination else None
    if offered:
        edit = config_snippets.wallet(offered)
    configured = request.services.settings.cold_address
    xpub = request.services.settings.xpub
    now = await asyncio.to_thread(config_snippets.preview, xpub) if xpub else None
    return request.render(
        "settings/wallet.html",
        status=200 if request.form.is_valid else 400,
        now=now,
        is_compared=now is not None
        and await request.services.db.read(lambda unit: is_wallet_compared(unit, now.wallet_id)),
        offered=offered,
        configured=checksum(configured) if configured else None,
        uncollectable=request.services.settings.uncollectable(),
        destination=checksum(destination) if destination else None,
        proposal=await proposal(request, edit) if edit else None,
    )


PAGES = (
    DashboardPage("GET", PATH, show, Access.CONFIRMED),
    DashboardPage("POST", PATH, preview, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/compared", confirm, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/cold-address", preview_cold_address, Access.CONFIRMED),
)

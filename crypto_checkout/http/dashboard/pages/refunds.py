"""Refunds: what payers ask for, the owner's approval of an address, and what is to be paid from the owner's wallet."""

import re
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from crypto_checkout.core.address import checksum
from crypto_checkout.core.checkout.payment_uri import transaction_request
from crypto_checkout.core.errors import CheckoutError, RefundNotOpen, ResourceNotFound
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.refunds.batch import safe_csv
from crypto_checkout.core.refunds.claims import Claim
from crypto_checkout.core.refunds.refund import REFUND_STATUSES, DestinationProof, RefundStatus
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.refunds.refunds import RefundRequest
from crypto_checkout.store.refunds.refunds import RefundFilter

PATH = "/refunds"
_ONE = f"{PATH}/{{id}}"
_OWN = "own"
_TX_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class ClaimedAddress:
    """An address that was given for a refund, as the form names it and as it is shown."""

    value: str
    address: str
    proof: DestinationProof
    signer: str | None
    at: datetime


_PROOFS = {
    DestinationProof.NONE: "unproven: entered by someone who has the payment link",
    DestinationProof.EMAIL: "confirmed with a code mailed to the customer",
    DestinationProof.SIGNATURE: "signed by the account that paid",
    DestinationProof.MERCHANT: "entered by you",
}


async def index(request: DashboardRequest) -> Response:
    """List the refunds, and above them what is to be paid."""
    window, status = request.window(), _status(request)
    refunds = request.services.checkout.refunds
    page = await refunds.listed(request.livemode, RefundFilter(status), window)
    to_pay = await refunds.to_pay(request.livemode)
    return request.render(
        "refunds/list.html",
        refunds=page.items,
        to_pay_chains=sorted({each.asset.chain_id for each in to_pay}),
        to_pay_count=len(to_pay),
        statuses=REFUND_STATUSES,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


async def show(request: DashboardRequest) -> Response:
    """Show a refund: the addresses given for it, or how to pay it."""
    return await _detail(request)


async def new(request: DashboardRequest) -> Response:
    """Show the form for a refund of a session."""
    return await _form(request, request.query_params.get("session", ""))


async def create(request: DashboardRequest) -> Response:
    """Make a refund of a session."""
    form = request.form
    session_id = form.value("session")
    asset, _, chain_id = form.value("asset").partition("@")
    refund_request = RefundRequest(
        session_id=session_id,
        amount=form.value("amount").strip() or None,
        chain_id=int(chain_id) if chain_id.isascii() and chain_id.isdigit() else None,
        asset=asset or None,
        reason=form.text("reason", 1000, optional=True, lines=True) or None,
        destination=form.value("destination").strip() or None,
    )
    if form.is_valid:
        try:
            work = request.services.checkout.refunds.create(request.livemode, refund_request)
            made = await request.write(work, EventType.REFUND_CREATED)
        except ResourceNotFound:
            raise
        except CheckoutError as error:
            form.add_error(error)
        else:
            return request.redirect(f"{PATH}/{made['id']}", "Refund created.")
    return await _form(request, session_id, status=400)


async def approve(request: DashboardRequest) -> Response:
    """Approve the address that the owner has chosen; the router has asked for the password."""
    refund_id, services = request.path_params["id"], request.services.checkout
    claims = await services.claims.of_refund(request.livemode, refund_id)
    choice = request.form.value("choice")
    chosen = next((each for each in claims if _given(each).value == choice), None)
    if chosen is not None:
        destination, proof = str(chosen.destination), chosen.proof
    elif choice == _OWN:
        destination, proof = request.form.text("destination", 100), DestinationProof.MERCHANT
    else:
        request.form.errors["choice"] = "Choose one of the options."
        return await _detail(request, status=400)
    try:
        work = services.refunds.approve(request.livemode, refund_id, destination, proof)
        await request.write(work, EventType.REFUND_APPROVED, detail=destination)
    except RefundNotOpen as error:
        return request.redirect(f"{PATH}/{refund_id}", error.message)
    except CheckoutError as error:
        request.form.add_error(error)
        return await _detail(request, status=400)
    await services.claims.tell_approved(refund_id)
    return request.redirect(f"{PATH}/{refund_id}", "Approved. Now pay it from your wallet.")


async def cancel(request: DashboardRequest) -> Response:
    """Cancel a refund."""
    refund_id = request.path_params["id"]
    try:
        work = await request.services.checkout.refunds.cancel(request.livemode, refund_id)
        await request.write(work, EventType.REFUND_CANCELED)
    except RefundNotOpen as error:
        return request.redirect(f"{PATH}/{refund_id}", error.message)
    return request.redirect(f"{PATH}/{refund_id}", "Canceled.")


async def paid(request: DashboardRequest) -> Response:
    """Note the transaction that pays a refund, and lead to the next one to pay."""
    refund_id, refunds = request.path_params["id"], request.services.checkout.refunds
    tx_hash = request.form.text("tx_hash", 100)
    if tx_hash and not _TX_HASH.fullmatch(tx_hash):
        request.form.errors["tx_hash"] = "A transaction\u2019s hash begins with 0x and has 64 digits after it."
    if not request.form.is_valid:
        return await _detail(request, status=400)
    try:
        work = await refunds.paid(request.livemode, refund_id, tx_hash.lower())
        await request.write(work, Action.REFUND_TRANSACTION_NAMED, detail=tx_hash.lower())
    except RefundNotOpen as error:
        return request.redirect(f"{PATH}/{refund_id}", error.message)
    except CheckoutError as error:
        request.form.add_error(error, {"txHash": "tx_hash"})
        return await _detail(request, status=400)
    return request.redirect(f"{PATH}/{refund_id}", "Saved. The refund is paid once the transaction is confirmed.")


async def pay_in_test_mode(request: DashboardRequest) -> Response:
    """Pay a test refund on the simulated chain."""
    refund_id, sandbox = request.path_params["id"], request.services.sandbox
    if request.livemode or sandbox is None:
        raise ResourceNotFound("Only test-mode refunds can be paid with test money.")
    try:
        await sandbox.pay_refund(refund_id)
    except RefundNotOpen as error:
        return request.redirect(f"{PATH}/{refund_id}", error.message)
    return request.redirect(f"{PATH}/{refund_id}", "Paid with test money.")


async def safe(request: DashboardRequest) -> Response:
    """Send the refunds to pay on a chain as a file for Safe's app CSV Airdrop."""
    chain_id = request.path_params["chain"]
    to_pay = await request.services.checkout.refunds.to_pay(request.livemode)
    of_chain = [each for each in to_pay if str(each.asset.chain_id) == chain_id]
    if not of_chain:
        raise ResourceNotFound("There is nothing to pay on this chain at the moment.")
    headers = {
        "Content-Disposition": f'attachment; filename="refunds-{chain_id}.csv"',
        "Cache-Control": "no-store",
    }
    return Response(safe_csv(of_chain), media_type="text/csv; charset=utf-8", headers=headers)


async def _detail(request: DashboardRequest, *, status: int = 200) -> Response:
    services, refund_id = request.services.checkout, request.path_params["id"]
    refund = await services.refunds.get(request.livemode, refund_id)
    claims = await services.claims.of_refund(request.livemode, refund_id)
    uri = refund["paymentUri"]
    return request.render(
        "refunds/detail.html",
        status=status,
        refund=refund,
        session=await services.session_reader.get(refund["sessionId"], request.livemode),
        claims=[_given(each) for each in claims],
        proofs=_PROOFS,
        info=REFUND_STATUSES[RefundStatus(refund["status"])],
        call=None if uri is None else transaction_request(uri),
        chains=services.payment_methods.all_chains(),
    )


async def _form(request: DashboardRequest, session_id: str, *, status: int = 200) -> Response:
    services = request.services.checkout
    session = await services.session_reader.get(session_id, request.livemode)
    assets = [(f"{session['asset']}@{session['chainId']}", f"{session['asset']}, as requested")]
    for chain in services.payment_methods.of(request.livemode).chains:
        for asset in chain.assets:
            value = f"{asset.symbol}@{chain.id}"
            if value != assets[0][0]:
                assets.append((value, f"{asset.symbol} on {chain.name}"))
    return request.render("refunds/new.html", status=status, session=session, assets=assets)


def _given(claim: Claim) -> ClaimedAddress:
    return ClaimedAddress(
        f"{claim.proof} {claim.destination}",
        checksum(claim.destination),
        claim.proof,
        None if claim.signer is None else checksum(claim.signer),
        claim.created_at,
    )


def _status(request: DashboardRequest) -> RefundStatus | None:
    try:
        return RefundStatus(request.query_params.get("status", ""))
    except ValueError:
        return None


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("GET", f"{PATH}/new", new),
    DashboardPage("POST", f"{PATH}/new", create),
    DashboardPage("GET", f"{PATH}/safe/{{chain}}", safe),
    DashboardPage("GET", _ONE, show),
    DashboardPage("POST", f"{_ONE}/approve", approve, Access.CONFIRMED),
    DashboardPage("POST", f"{_ONE}/cancel", cancel),
    DashboardPage("POST", f"{_ONE}/paid", paid),
    DashboardPage("POST", f"{_ONE}/test-pay", pay_in_test_mode),
)

"""Signing in and out, the first password behind its one-time link, and confirming the password."""

import re

from starlette.responses import RedirectResponse, Response

from crypto_checkout.core.owner import password as rules
from crypto_checkout.core.owner.account import LONGEST
from crypto_checkout.http.dashboard.frame.request import PREFIX, DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.owner.sign_in import AlreadySetUp, Credentials, NewLogin

_OWN_PATH = re.compile(PREFIX + r"(?:[/?][!-\[\]-~]*)?")
"""Paths of the dashboard, without a backslash or anything that isn't ASCII."""


async def show_set_up(request: DashboardRequest) -> Response:
    """Show the form for the first password."""
    if await request.services.owner.sign_in.account() is not None:
        return request.redirect("/sign-in", "The password has already been set. Sign in with it.")
    token = request.query_params.get("token", "")
    if not await request.services.owner.set_up_link.is_good(token):
        return request.render("set_up_expired.html", status=404)
    return request.render("set_up.html", token=token)


async def set_up(request: DashboardRequest) -> Response:
    """Set the first password, and sign in."""
    token, password = request.form.value("token"), request.form.value("password")
    if not await request.services.owner.set_up_link.is_good(token):
        return request.render("set_up_expired.html", status=404)
    check_new_password(request)
    if not request.form.is_valid:
        return request.render("set_up.html", status=400, token=token)
    try:
        started = await request.services.owner.sign_in.set_up(password, request.browser)
    except AlreadySetUp:
        return request.redirect("/sign-in", "The password has already been set. Sign in with it.")
    await request.services.owner.set_up_link.use_up()
    return _start_login(request, started, request.redirect("/guide", "Your password is set and you are signed in."))


async def show_sign_in(request: DashboardRequest) -> Response:
    """Show the sign-in form."""
    if request.login is not None:
        return RedirectResponse(next_path(request, request.query_params.get("next", "")), 303)
    return await _sign_in_page(request, request.query_params.get("next", ""))


async def sign_in(request: DashboardRequest) -> Response:
    """Sign in, or report a failure without saying which part was wrong."""
    target = request.form.value("next")
    address, browser = request.browser.address, request.cookies.browser(request.http)
    await request.throttle.count(request.http.scope, browser)
    credentials = Credentials(request.form.value("password"), request.form.value("code"))
    started = await request.services.owner.sign_in.sign_in(credentials, request.browser)
    if started is None:
        request.form.error = "Wrong password or code. Please try again."
        return await _sign_in_page(request, target, status=403)
    request.throttle.forgive(address, browser)
    if request.login is not None:
        await request.services.owner.account.end_login(request.actor, request.login.id)
    return _start_login(request, started, RedirectResponse(next_path(request, target), 303))


async def sign_out(request: DashboardRequest) -> Response:
    """End this login."""
    assert request.login is not None, "the page needs a login"
    await request.services.owner.account.end_login(request.actor, request.login.id)
    response = request.redirect("/sign-in", "You have signed out.", livemode=True)
    request.cookies.clear_login(response)
    return response


async def confirm(request: DashboardRequest) -> Response:
    """Continue to the page that asked for the password."""
    return RedirectResponse(next_path(request, request.form.value("next")), 303)


def check_new_password(request: DashboardRequest) -> None:
    """Add errors about the new password to the form."""
    password = request.form.value("password")
    objection = rules.objection(password, request.services.names)
    if objection is not None:
        request.form.errors["password"] = objection
    elif request.form.value("again") != password:
        request.form.errors["again"] = "The passwords don't match."


def next_path(request: DashboardRequest, target: str) -> str:
    """Return the path to continue to: the target if it is a path of the dashboard, else the overview."""
    return target if _OWN_PATH.fullmatch(target) else request.url("/", livemode=True)


async def _sign_in_page(request: DashboardRequest, target: str, status: int = 200) -> Response:
    account = await request.services.owner.sign_in.account()
    if account is None:
        return request.render("not_set_up.html", status=status)
    return request.render(
        "sign_in.html",
        status=status,
        next=target,
        has_totp=account.totp_secret is not None,
        reads_codes=request.services.owner.sign_in.reads_codes(account),
    )


def _start_login(request: DashboardRequest, started: NewLogin, response: Response) -> Response:
    request.cookies.set_login(response, started.token, int(LONGEST.total_seconds()))
    request.cookies.set_browser(response, started.browser_token)
    return response


PAGES = (
    DashboardPage("GET", "/set-up", show_set_up, Access.ANYBODY),
    DashboardPage("POST", "/set-up", set_up, Access.ANYBODY),
    DashboardPage("GET", "/sign-in", show_sign_in, Access.ANYBODY),
    DashboardPage("POST", "/sign-in", sign_in, Access.ANYBODY),
    DashboardPage("POST", "/sign-out", sign_out),
    DashboardPage("POST", "/confirm", confirm, Access.CONFIRMED),
)

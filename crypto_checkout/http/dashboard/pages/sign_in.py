"""The door: the first password behind the one-time link, signing in and out, and the password given once more."""

import re

from starlette.responses import RedirectResponse, Response

from crypto_checkout.core.owner import password as rules
from crypto_checkout.core.owner.account import LONGEST
from crypto_checkout.http.dashboard.frame.request import PREFIX, DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.owner.sign_in import AlreadySetUp, Credentials, NewLogin

_OWN_PATH = re.compile(PREFIX + r"(?:[/?][!-\[\]-~]*)?")
"""Paths of the dashboard, without a backslash or anything that isn't ASCII."""


async def show_set_up(visit: DashboardRequest) -> Response:
    """Ask for the first password."""
    if await visit.desk.sign_in.account() is not None:
        return visit.go("/sign-in", "The dashboard has its password already. Sign in with it.")
    token = visit.query.get("token", "")
    if not visit.desk.set_up_link.is_good(token):
        return visit.show("set_up_over.html", status=404)
    return visit.show("set_up.html", token=token)


async def set_up(visit: DashboardRequest) -> Response:
    """Set the first password, and sign in."""
    token, password = visit.form.value("token"), visit.form.value("password")
    if not visit.desk.set_up_link.is_good(token):
        return visit.show("set_up_over.html", status=404)
    check_new_password(visit)
    if not visit.form.is_good:
        return visit.show("set_up.html", status=400, token=token)
    try:
        started = await visit.desk.sign_in.set_up(password, visit.browser)
    except AlreadySetUp:
        return visit.go("/sign-in", "The dashboard has its password already. Sign in with it.")
    visit.desk.set_up_link.use_up()
    return _let_in(visit, started, visit.go("/guide", "Your password is set, and you are signed in."))


async def show_sign_in(visit: DashboardRequest) -> Response:
    """Ask for the password."""
    if visit.login is not None:
        return RedirectResponse(next_path(visit, visit.query.get("next", "")), 303)
    return await _sign_in_page(visit, visit.query.get("next", ""))


async def sign_in(visit: DashboardRequest) -> Response:
    """Sign in, or say that something was wrong; not what."""
    wanted = visit.form.value("next")
    address, browser = visit.browser.address, visit.cookies.browser(visit.request)
    await visit.throttle.count(visit.request.scope, browser)
    credentials = Credentials(visit.form.value("password"), visit.form.value("code"))
    started = await visit.desk.sign_in.sign_in(credentials, visit.browser)
    if started is None:
        visit.form.mistake = "That was not right. Check what you typed, and try again."
        return await _sign_in_page(visit, wanted, status=403)
    visit.throttle.forgive(address, browser)
    if visit.login is not None:
        await visit.desk.account.end_login(visit.actor, visit.login.id)
    return _let_in(visit, started, RedirectResponse(next_path(visit, wanted), 303))


async def sign_out(visit: DashboardRequest) -> Response:
    """End this login."""
    assert visit.login is not None, "the page is for who is signed in"
    await visit.desk.account.end_login(visit.actor, visit.login.id)
    response = visit.go("/sign-in", "You are signed out.", livemode=True)
    visit.cookies.forget_login(response)
    return response


async def confirmed(visit: DashboardRequest) -> Response:
    """Go on to the page for which the password was asked again."""
    return RedirectResponse(next_path(visit, visit.form.value("next")), 303)


def check_new_password(visit: DashboardRequest) -> None:
    """Note in the form what is wrong with its new password."""
    password = visit.form.value("password")
    objection = rules.objection(password, visit.desk.names)
    if objection is not None:
        visit.form.mistakes["password"] = objection
    elif visit.form.value("again") != password:
        visit.form.mistakes["again"] = "The two are not the same."


def next_path(visit: DashboardRequest, wanted: str) -> str:
    """Return where to go on: the path that was wanted, if it is one of the dashboard's."""
    return wanted if _OWN_PATH.fullmatch(wanted) else visit.url("/", livemode=True)


async def _sign_in_page(visit: DashboardRequest, wanted: str, status: int = 200) -> Response:
    account = await visit.desk.sign_in.account()
    if account is None:
        return visit.show("not_set_up.html", status=status)
    return visit.show("sign_in.html", status=status, next=wanted, has_totp=account.totp_secret is not None)


def _let_in(visit: DashboardRequest, started: NewLogin, response: Response) -> Response:
    visit.cookies.set_login(response, started.token, int(LONGEST.total_seconds()))
    visit.cookies.set_browser(response, started.browser_token)
    return response


PAGES = (
    DashboardPage("GET", "/set-up", show_set_up, Access.ANYBODY),
    DashboardPage("POST", "/set-up", set_up, Access.ANYBODY),
    DashboardPage("GET", "/sign-in", show_sign_in, Access.ANYBODY),
    DashboardPage("POST", "/sign-in", sign_in, Access.ANYBODY),
    DashboardPage("POST", "/sign-out", sign_out),
    DashboardPage("POST", "/confirm", confirmed, Access.CONFIRMED),
)

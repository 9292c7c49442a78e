"""Security settings: the password, the second factor with its recovery codes, and the active logins."""

from starlette.responses import Response

from crypto_checkout.core.owner.account import Login
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.http.dashboard.pages.sign_in import check_new_password
from crypto_checkout.services.owner import second_factor

PATH = "/settings"


async def show(request: DashboardRequest) -> Response:
    """Show the security settings."""
    security = await request.services.owner.account.security()
    reads_codes = request.services.owner.sign_in.reads_codes(security.account)
    return request.render("settings/security.html", security=security, reads_codes=reads_codes)


async def edit_password(request: DashboardRequest) -> Response:
    """Show the form for a new password."""
    return request.render("settings/password.html")


async def update_password(request: DashboardRequest) -> Response:
    """Set a new password, and end every other login."""
    check_new_password(request)
    if not request.form.is_valid:
        return request.render("settings/password.html", status=400)
    login, password = _login(request), request.form.value("password")
    browser = request.cookies.browser(request.http)
    ended = await request.services.owner.account.change_password(login, request.actor, password, browser)
    others = f" and {_count_logins(ended)} signed out" if ended else ""
    return request.redirect(PATH, f"Password changed{others}.")


async def new_second_factor(request: DashboardRequest) -> Response:
    """Show the secret for an authenticator, and ask for a code that proves it was added."""
    return _authenticator(request, second_factor.new_secret())


async def enable_second_factor(request: DashboardRequest) -> Response:
    """Require a second factor, and show the recovery codes once."""
    secret = request.form.value("secret")
    if not second_factor.is_secret(secret):
        return request.redirect(f"{PATH}/second-factor")
    codes = await request.services.owner.account.switch_totp_on(request.actor, secret, request.form.text("code"))
    if codes is None:
        request.form.errors["code"] = "Wrong code. Is your phone's clock set correctly?"
        return _authenticator(request, secret, status=400)
    return request.render("settings/recovery_codes.html", codes=codes, is_new=True)


async def disable_second_factor(request: DashboardRequest) -> Response:
    """Require the password alone."""
    await request.services.owner.account.switch_totp_off(request.actor)
    return request.redirect(
        PATH, "Second factor disabled. Your password alone signs you in, and the recovery codes no longer work."
    )


async def renew_recovery_codes(request: DashboardRequest) -> Response:
    """Create new recovery codes, and show them once."""
    codes = await request.services.owner.account.new_recovery_codes(request.actor)
    return request.render("settings/recovery_codes.html", codes=codes, is_new=False)


async def end_login(request: DashboardRequest) -> Response:
    """End one login."""
    ended = await request.services.owner.account.end_login(request.actor, request.path_params["id"])
    return request.redirect(PATH, "Signed out." if ended else "That browser had already been signed out.")


async def end_other_logins(request: DashboardRequest) -> Response:
    """End every login but this one."""
    ended = await request.services.owner.account.end_other_logins(_login(request), request.actor)
    return request.redirect(PATH, f"{_count_logins(ended)} signed out." if ended else "No other browser was signed in.")


def _login(request: DashboardRequest) -> Login:
    assert request.login is not None, "these pages need a login"
    return request.login


def _count_logins(number: int) -> str:
    return "1 other browser" if number == 1 else f"{number} other browsers"


def _authenticator(request: DashboardRequest, secret: str, status: int = 200) -> Response:
    return request.render(
        "settings/authenticator.html",
        status=status,
        secret=secret,
        address=second_factor.address(secret, request.services.title),
    )


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("GET", f"{PATH}/password", edit_password, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/password", update_password, Access.CONFIRMED),
    DashboardPage("GET", f"{PATH}/second-factor", new_second_factor, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/second-factor", enable_second_factor, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/second-factor/off", disable_second_factor, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/recovery-codes", renew_recovery_codes, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/logins/{{id}}/end", end_login),
    DashboardPage("POST", f"{PATH}/logins/end-others", end_other_logins),
)

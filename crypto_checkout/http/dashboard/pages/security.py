"""How the owner gets in: the password, the second factor with its recovery codes, and the logins there are."""

from starlette.responses import Response

from crypto_checkout.core.owner.account import Login
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.http.dashboard.pages.sign_in import check_new_password
from crypto_checkout.services.owner import second_factor

PATH = "/settings"


async def show(visit: DashboardRequest) -> Response:
    """Show how the account is protected."""
    return visit.show("settings/security.html", security=await visit.desk.account.security())


async def ask_password(visit: DashboardRequest) -> Response:
    """Ask for another password."""
    return visit.show("settings/password.html")


async def change_password(visit: DashboardRequest) -> Response:
    """Set another password; every other login ends."""
    check_new_password(visit)
    if not visit.form.is_good:
        return visit.show("settings/password.html", status=400)
    login, password = _login(visit), visit.form.value("password")
    browser = visit.cookies.browser(visit.request)
    ended = await visit.desk.account.change_password(login, visit.actor, password, browser)
    others = f" and {_logins(ended)} elsewhere ended" if ended else ""
    return visit.go(PATH, f"Your password is changed{others}.")


async def ask_code(visit: DashboardRequest) -> Response:
    """Show a new authenticator's secret, and ask for a code that proves it was taken over."""
    return _authenticator(visit, second_factor.new_secret())


async def switch_on(visit: DashboardRequest) -> Response:
    """Ask for a second factor from now on, and show the recovery codes this once."""
    secret = visit.form.value("secret")
    if not second_factor.is_secret(secret):
        return visit.go(f"{PATH}/second-factor")
    codes = await visit.desk.account.switch_totp_on(visit.actor, secret, visit.form.text("code"))
    if codes is None:
        visit.form.mistakes["code"] = "This is not the code of now. Is the clock of your phone right?"
        return _authenticator(visit, secret, status=400)
    return visit.show("settings/codes.html", codes=codes, is_new=True)


async def switch_off(visit: DashboardRequest) -> Response:
    """Ask for the password alone from now on."""
    await visit.desk.account.switch_totp_off(visit.actor)
    return visit.go(PATH, "From now on the password alone lets you in. The recovery codes are void.")


async def renew_codes(visit: DashboardRequest) -> Response:
    """Make new recovery codes, and show them this once."""
    codes = await visit.desk.account.new_recovery_codes(visit.actor)
    return visit.show("settings/codes.html", codes=codes, is_new=False)


async def end_login(visit: DashboardRequest) -> Response:
    """End one login."""
    ended = await visit.desk.account.end_login(visit.actor, visit.path["id"])
    return visit.go(PATH, "That login has ended." if ended else "That login had ended before.")


async def end_others(visit: DashboardRequest) -> Response:
    """End every login but this one."""
    ended = await visit.desk.account.end_other_logins(_login(visit), visit.actor)
    return visit.go(PATH, f"{_logins(ended)} elsewhere ended." if ended else "There was no other login.")


def _login(visit: DashboardRequest) -> Login:
    assert visit.login is not None, "these pages are for who is signed in"
    return visit.login


def _logins(number: int) -> str:
    return "1 login" if number == 1 else f"{number} logins"


def _authenticator(visit: DashboardRequest, secret: str, status: int = 200) -> Response:
    return visit.show(
        "settings/authenticator.html",
        status=status,
        secret=secret,
        address=second_factor.address(secret, visit.desk.title),
    )


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("GET", f"{PATH}/password", ask_password, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/password", change_password, Access.CONFIRMED),
    DashboardPage("GET", f"{PATH}/second-factor", ask_code, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/second-factor", switch_on, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/second-factor/off", switch_off, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/recovery-codes", renew_codes, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/logins/{{id}}/end", end_login),
    DashboardPage("POST", f"{PATH}/logins/end-others", end_others),
)

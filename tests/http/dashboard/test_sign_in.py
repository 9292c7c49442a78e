"""The owner's way in: the one-time link, the password, the second factor, and how long a login lasts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pyotp
import pytest

from crypto_checkout.core.owner.audit import Action, Actor, ActorKind
from crypto_checkout.services.owner import second_factor
from crypto_checkout.services.owner.account import Account
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.services.owner.sign_in import LoginEnded
from crypto_checkout.store import paging, secret_key
from tests.support.api import App, Clock, open_app
from tests.support.dashboard import PASSWORD, hidden, signed_in, visitor

OTHER_PASSWORD = "seven lamps over gdansk"


pytestmark = pytest.mark.usefixtures("still_rate_limits")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def app(tmp_path: Path, clock: Clock) -> AsyncIterator[App]:
    async with open_app(tmp_path, clock=clock) as running:
        yield running


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


async def sign_in(client: httpx.AsyncClient, password: str = PASSWORD, code: str = "") -> httpx.Response:
    return await client.post("/sign-in", data={"password": password, "code": code})


async def is_signed_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/test/settings")).status_code == 200


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("checkout.db*"))


async def actions(app: App) -> list[str]:
    """Return the actions of the audit trail, oldest first."""
    page = await app.opened.owner.audit_trail.listed(False, paging.Window(100))
    return [entry.action for entry in reversed(page.items)]


async def switch_totp_on(owner: httpx.AsyncClient, clock: Clock) -> tuple[pyotp.TOTP, list[str]]:
    """Switch the second factor on; return the authenticator and the recovery codes."""
    secret = hidden((await owner.get("/test/settings/second-factor")).text, "secret")
    authenticator = pyotp.TOTP(secret)
    answer = await owner.post(
        "/test/settings/second-factor", data={"secret": secret, "code": authenticator.at(clock.now)}
    )
    assert answer.status_code == 200
    codes = [part.partition("<")[0] for part in answer.text.split("<li><code>")[1:]]
    assert len(codes) == second_factor.RECOVERY_CODES
    return authenticator, codes


# --- the first password ----------------------------------------------------------------------------------------------


async def test_the_link_sets_the_first_password_once(app: App) -> None:
    token = await app.opened.owner.set_up_link.make()
    client = await visitor(app)
    page = await client.get("/set-up", params={"token": token})
    assert hidden(page.text, "token") == token
    answer = await client.post("/set-up", data={"token": token, "password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 303
    assert await is_signed_in(client)
    again = await visitor(app)
    answer = await again.post("/set-up", data={"token": token, "password": OTHER_PASSWORD, "again": OTHER_PASSWORD})
    assert answer.status_code == 404
    assert (await again.get("/set-up", params={"token": token})).headers["location"] == "/dashboard/sign-in"
    assert not await is_signed_in(again)
    assert (await sign_in(again)).status_code == 303


async def test_of_two_who_use_the_link_at_once_one_sets_the_password(app: App) -> None:
    token = await app.opened.owner.set_up_link.make()
    passwords = (PASSWORD, OTHER_PASSWORD)
    clients = [await visitor(app) for _ in passwords]
    answers = await asyncio.gather(
        *(
            client.post("/set-up", data={"token": token, "password": password, "again": password})
            for client, password in zip(clients, passwords, strict=True)
        )
    )
    assert sorted(answer.headers["location"] for answer in answers) == ["/dashboard/guide", "/dashboard/sign-in"]
    assert sorted([await is_signed_in(client) for client in clients]) == [False, True]
    assert (await actions(app)).count(Action.SET_UP) == 1


@pytest.mark.parametrize("token", ["", "wrong", "é"])
async def test_a_wrong_token_is_over(app: App, token: str) -> None:
    await app.opened.owner.set_up_link.make()
    client = await visitor(app)
    assert (await client.get("/set-up", params={"token": token})).status_code == 404
    answer = await client.post("/set-up", data={"token": token, "password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 404
    assert await app.opened.owner.sign_in.account() is None


async def test_the_link_is_good_for_thirty_minutes_and_a_new_one_ends_it(app: App, clock: Clock) -> None:
    link = app.opened.owner.set_up_link
    first = await link.make()
    clock.move(minutes=29)
    assert await link.is_good(first)
    second = await link.make()
    assert not await link.is_good(first)
    clock.move(minutes=30)
    assert not await link.is_good(second)


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("password1234", "password1234", "common words"),
        ("short", "short", "at least 12"),
        (PASSWORD, PASSWORD + "x", "passwords don&#39;t match"),
    ],
)
async def test_an_obvious_or_mistyped_password_is_not_set(app: App, password: str, again: str, said: str) -> None:
    token = await app.opened.owner.set_up_link.make()
    client = await visitor(app)
    answer = await client.post("/set-up", data={"token": token, "password": password, "again": again})
    assert answer.status_code == 400
    assert said in answer.text
    assert password not in answer.text
    assert await app.opened.owner.sign_in.account() is None


async def test_without_a_password_the_door_says_how_to_set_one(app: App) -> None:
    page = (await (await visitor(app)).get("/sign-in")).text
    assert "setup link" in page
    assert "crypto-checkout admin reset-password" in page
    assert (await sign_in(await visitor(app), "")).status_code == 403


# --- signing in ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("full_cost_of_passwords")
async def test_nothing_of_what_was_typed_is_stored(app: App, owner: httpx.AsyncClient, tmp_path: Path) -> None:
    await sign_in(owner, "a wrong password typed")
    token = dict(owner.cookies)["checkout_login"]
    stored = await asyncio.to_thread(everything_in, tmp_path)
    for secret in (PASSWORD, "a wrong password typed", token, dict(owner.cookies)["checkout_browser"]):
        assert secret.encode() not in stored
    account = await app.opened.owner.sign_in.account()
    assert account is not None
    assert account.password_hash.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_a_wrong_password_is_refused_and_noted(app: App, owner: httpx.AsyncClient) -> None:
    client = await visitor(app, address="203.0.113.7")
    answer = await sign_in(client, "three quiet herons at dawn")
    assert answer.status_code == 403
    assert "Wrong password or code" in answer.text
    assert "set-cookie" not in answer.headers
    assert not await is_signed_in(client)
    assert (await actions(app))[-1] == Action.SIGN_IN_REFUSED
    assert "203.0.113.7" in (await owner.get("/test/settings/trail")).text


async def test_attempts_are_throttled_for_each_address(app: App) -> None:
    await signed_in(app)
    attacker, somebody = await visitor(app, address="203.0.113.7"), await visitor(app, address="198.51.100.1")
    statuses = [(await sign_in(attacker, f"wrong password {n}")).status_code for n in range(12)]
    assert statuses == [403] * 10 + [429] * 2
    refused = await sign_in(attacker)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert (await sign_in(somebody)).status_code == 303


async def test_an_attack_from_everywhere_is_stopped_and_does_not_lock_the_owner_out(
    app: App, owner: httpx.AsyncClient
) -> None:
    await owner.post("/test/sign-out")
    statuses = [
        (await sign_in(await visitor(app, address=f"203.0.113.{number}"), "wrong password")).status_code
        for number in range(70)
    ]
    assert statuses == [403] * 60 + [429] * 10
    assert (await sign_in(await visitor(app, address="198.51.100.1"))).status_code == 429
    rebound = await visitor(app, address="127.0.0.1", site="http://rebound.example:4020")
    assert (await sign_in(rebound)).status_code == 429, "a page in a browser here is not this machine"
    assert (await sign_in(await visitor(app, site="http://localhost:4020"))).status_code == 303
    assert (await sign_in(owner)).status_code == 303


async def test_the_networks_of_ipv6_count_as_one_address(app: App) -> None:
    await signed_in(app)
    statuses = [
        (await sign_in(await visitor(app, address=f"2001:db8::{number:x}"), "wrong password")).status_code
        for number in range(12)
    ]
    assert statuses[-1] == 429


# --- how long a login lasts ------------------------------------------------------------------------------------------


async def test_a_login_ends_when_it_is_left_alone(owner: httpx.AsyncClient, clock: Clock) -> None:
    clock.move(hours=11)
    assert await is_signed_in(owner)
    clock.move(hours=11)
    assert await is_signed_in(owner)
    clock.move(hours=12)
    assert not await is_signed_in(owner)


async def test_a_login_ends_after_two_weeks_however_much_it_is_used(owner: httpx.AsyncClient, clock: Clock) -> None:
    for _ in range(33):
        clock.move(hours=10)
        assert await is_signed_in(owner)
    clock.move(hours=10)
    assert not await is_signed_in(owner)


async def test_logins_are_listed_and_each_can_be_ended(app: App, owner: httpx.AsyncClient) -> None:
    phone = await visitor(app, address="198.51.100.9")
    phone.headers["User-Agent"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1"
    assert (await sign_in(phone)).status_code == 303
    page = (await owner.get("/test/settings")).text
    assert "Safari on an iPhone" in page
    assert "198.51.100.9" in page
    login_id = next(
        login.id for login in (await app.opened.owner.account.security()).logins if "iPhone" in login.browser.user_agent
    )
    assert (await owner.post(f"/test/settings/logins/{login_id}/end")).status_code == 303
    assert not await is_signed_in(phone)
    assert await is_signed_in(owner)


async def test_all_other_logins_end_at_once(app: App, owner: httpx.AsyncClient) -> None:
    others = [await signed_in(app) for _ in range(3)]
    await owner.post("/test/settings/logins/end-others")
    assert [await is_signed_in(other) for other in others] == [False] * 3
    assert "3 other browsers signed out." in (await owner.get("/test/settings")).text


async def test_signing_in_again_ends_the_login_before(app: App, owner: httpx.AsyncClient) -> None:
    before = dict(owner.cookies)
    assert (await sign_in(owner)).status_code == 303
    assert await is_signed_in(owner)
    assert len((await app.opened.owner.account.security()).logins) == 1
    owner.cookies.clear()
    owner.cookies.update(before)
    assert not await is_signed_in(owner)


async def test_a_form_of_a_login_that_has_ended_says_that_nothing_was_done(
    owner: httpx.AsyncClient, clock: Clock
) -> None:
    clock.move(hours=13)
    answer = await owner.post("/test/settings/logins/end-others")
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert "Nothing was changed" in (await owner.get("/sign-in")).text


async def test_a_clock_put_back_does_not_spare_anybody_the_password(owner: httpx.AsyncClient, clock: Clock) -> None:
    clock.move(hours=-2)
    assert (await owner.get("/test/api-keys/new")).status_code == 403


async def test_who_is_not_signed_in_may_ask_for_so_many_pages_and_no_more(app: App) -> None:
    await signed_in(app)
    client = await visitor(app, address="203.0.113.7")
    statuses = [(await client.get("/sign-in")).status_code for _ in range(110)]
    assert statuses[0] == 200
    assert statuses[-1] == 429


async def test_a_changed_password_ends_every_other_login(app: App, owner: httpx.AsyncClient) -> None:
    other = await signed_in(app)
    answer = await owner.post("/test/settings/password", data={"password": OTHER_PASSWORD, "again": OTHER_PASSWORD})
    assert answer.status_code == 303
    assert await is_signed_in(owner)
    assert not await is_signed_in(other)
    assert (await sign_in(other)).status_code == 403
    assert (await sign_in(other, OTHER_PASSWORD)).status_code == 303


async def test_a_changed_password_ends_the_attempts_that_other_browsers_had_of_their_own(
    app: App, owner: httpx.AsyncClient
) -> None:
    other = await signed_in(app)
    known = app.opened.owner.sign_in.is_known_browser
    assert await known(other.cookies["checkout_browser"])
    await owner.post("/test/settings/password", data={"password": OTHER_PASSWORD, "again": OTHER_PASSWORD})
    assert not await known(other.cookies["checkout_browser"])
    assert await known(owner.cookies["checkout_browser"])


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/test/settings/password", {"password": "a thief chose this one", "again": "a thief chose this one"}),
        ("/test/api-keys", {"name": "of a thief", "mode": "test", "scope": "links:read"}),
    ],
)
async def test_a_form_that_comes_in_slowly_does_nothing_once_its_login_is_ended(
    app: App, owner: httpx.AsyncClient, path: str, data: dict[str, str]
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"slow=1&"
        await app.opened.owner.account.reset_password(OTHER_PASSWORD)
        yield urlencode(data).encode()

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await owner.post(path, content=slowly(), headers=kind)
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert (await actions(app))[-1] == Action.PASSWORD_RESET
    assert (await sign_in(await visitor(app), OTHER_PASSWORD)).status_code == 303


async def test_a_login_that_is_ended_while_its_password_is_hashed_sets_none(app: App) -> None:
    await signed_in(app)
    account = app.opened.owner.account
    login = (await account.security()).logins[0]
    await account.reset_password(OTHER_PASSWORD)
    with pytest.raises(LoginEnded):
        await account.change_password(login, Actor(ActorKind.OWNER, login.id), PASSWORD, "")
    assert (await sign_in(await visitor(app), OTHER_PASSWORD)).status_code == 303


# --- the password once more ------------------------------------------------------------------------------------------


async def test_ten_minutes_later_keys_want_the_password_again_and_nothing_typed_is_lost(
    app: App, owner: httpx.AsyncClient, clock: Clock
) -> None:
    clock.move(minutes=11)
    page = await owner.get("/test/api-keys/new")
    assert page.status_code == 403
    assert hidden(page.text, "next") == "/dashboard/test/api-keys/new"
    body = {"name": "Till", "mode": "test", "scope": ["links:read", "links:write"]}
    asked = await owner.post("/test/api-keys", data=body)
    assert asked.status_code == 403
    assert asked.text.count('name="scope"') == 2
    assert "api_key.created" not in await actions(app)
    wrong = await owner.post("/test/api-keys", data={**body, "current_password": "wrong password"})
    assert wrong.status_code == 403
    assert "wrong password" not in wrong.text
    made = await owner.post("/test/api-keys", data={**body, "current_password": PASSWORD})
    assert made.status_code == 201
    assert (await owner.get("/test/api-keys/new")).status_code == 200


async def test_the_page_that_asks_for_the_password_repeats_no_secret(owner: httpx.AsyncClient, clock: Clock) -> None:
    clock.move(minutes=11)
    words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    asked = await owner.post("/test/settings/wallet", data={"xpub": words})
    assert asked.status_code == 403
    assert words not in asked.text


async def test_the_password_given_again_leads_on_to_where_it_was_asked_for(
    owner: httpx.AsyncClient, clock: Clock
) -> None:
    clock.move(minutes=11)
    answer = await owner.post(
        "/test/confirm", data={"next": "/dashboard/test/api-keys/new", "current_password": PASSWORD}
    )
    assert answer.headers["location"] == "/dashboard/test/api-keys/new"


async def test_guessing_in_a_stolen_login_is_throttled(app: App, clock: Clock) -> None:
    thief = await signed_in(app)
    del thief.cookies["checkout_browser"]
    clock.move(minutes=11)
    statuses = [
        (await thief.post("/test/api-keys", data={"current_password": f"wrong {n}"})).status_code for n in range(12)
    ]
    assert statuses[-1] == 429


# --- the second factor -----------------------------------------------------------------------------------------------


async def test_with_a_second_factor_the_password_alone_lets_nobody_in(
    app: App, owner: httpx.AsyncClient, clock: Clock
) -> None:
    authenticator, _ = await switch_totp_on(owner, clock)
    client = await visitor(app)
    assert (await sign_in(client)).status_code == 403
    assert (await sign_in(client, code="000000")).status_code == 403
    clock.move(seconds=30)
    assert (await sign_in(client, "wrong password", authenticator.at(clock.now))).status_code == 403
    assert (await sign_in(client, code=authenticator.at(clock.now))).status_code == 303


async def test_a_code_counts_once(app: App, owner: httpx.AsyncClient, clock: Clock) -> None:
    authenticator, _ = await switch_totp_on(owner, clock)
    used = authenticator.at(clock.now)
    assert (await sign_in(await visitor(app), code=used)).status_code == 403
    clock.move(seconds=30)
    code = authenticator.at(clock.now)
    assert (await sign_in(await visitor(app), code=f"{code[:3]} {code[3:]}")).status_code == 303
    assert (await sign_in(await visitor(app), code=code)).status_code == 403


async def test_a_code_from_before_one_that_was_taken_is_refused(
    app: App, owner: httpx.AsyncClient, clock: Clock
) -> None:
    authenticator, _ = await switch_totp_on(owner, clock)
    clock.move(minutes=5)
    before = authenticator.at(clock.now)
    clock.move(seconds=30)
    assert (await sign_in(await visitor(app), code=authenticator.at(clock.now))).status_code == 303
    assert (await sign_in(await visitor(app), code=before)).status_code == 403


async def test_a_recovery_code_lets_in_once_and_the_owner_is_told_how_many_are_left(
    app: App, owner: httpx.AsyncClient, clock: Clock
) -> None:
    _, codes = await switch_totp_on(owner, clock)
    assert (await sign_in(await visitor(app), code=codes[0].upper().replace("-", " "))).status_code == 303
    assert (await sign_in(await visitor(app), code=codes[0])).status_code == 403
    assert "<strong>9</strong>" in (await owner.get("/test/settings")).text
    assert Action.RECOVERY_CODE_USED in await actions(app)


@pytest.mark.sqlite  # without its key no process starts on a server's database
async def test_without_the_key_of_its_secret_only_recovery_codes_pass_and_the_page_says_so(
    tmp_path: Path, clock: Clock
) -> None:
    async with open_app(tmp_path, clock=clock) as app:
        authenticator, codes = await switch_totp_on(await signed_in(app), clock)
    secret_key.path(tmp_path).unlink()
    async with open_app(tmp_path, clock=clock) as app:
        page = (await (await visitor(app)).get("/sign-in")).text
        assert "secret.key was lost" in page
        clock.move(minutes=1)
        assert (await sign_in(await visitor(app), code=authenticator.at(clock.now))).status_code == 403
        assert (await sign_in(await visitor(app))).status_code == 403
        owner = await visitor(app)
        assert (await sign_in(owner, code=codes[0])).status_code == 303
        assert "secret.key was lost" in (await owner.get("/test/settings")).text
        await switch_totp_on(owner, clock)
        assert "secret.key was lost" not in (await owner.get("/test/settings")).text


async def test_a_wrong_password_uses_no_recovery_code_up(app: App, owner: httpx.AsyncClient, clock: Clock) -> None:
    _, codes = await switch_totp_on(owner, clock)
    assert (await sign_in(await visitor(app), "wrong password", codes[0])).status_code == 403
    assert (await sign_in(await visitor(app), code=codes[0])).status_code == 303


async def test_new_recovery_codes_void_the_old_ones(app: App, owner: httpx.AsyncClient, clock: Clock) -> None:
    _, old = await switch_totp_on(owner, clock)
    answer = await owner.post("/test/settings/recovery-codes")
    new = [part.partition("<")[0] for part in answer.text.split("<li><code>")[1:]]
    assert (await sign_in(await visitor(app), code=old[0])).status_code == 403
    assert (await sign_in(await visitor(app), code=new[0])).status_code == 303


async def test_a_wrong_first_code_switches_nothing_on(app: App, owner: httpx.AsyncClient) -> None:
    secret = hidden((await owner.get("/test/settings/second-factor")).text, "secret")
    answer = await owner.post("/test/settings/second-factor", data={"secret": secret, "code": "123"})
    assert answer.status_code == 400
    assert hidden(answer.text, "secret") == secret
    assert (await sign_in(await visitor(app))).status_code == 303


async def test_switched_off_the_password_alone_is_enough_again(
    app: App, owner: httpx.AsyncClient, clock: Clock
) -> None:
    await switch_totp_on(owner, clock)
    await owner.post("/test/settings/second-factor/off")
    assert (await sign_in(await visitor(app))).status_code == 303
    assert Action.TOTP_SWITCHED_OFF in await actions(app)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    # The secret of its appendix B; six digits are the last six of its eight.
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert second_factor.step_of(secret, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30
    assert second_factor.step_of(secret, code, datetime.fromtimestamp(seconds + 90, UTC)) is None


# --- from the machine, and under https -------------------------------------------------------------------------------


async def test_the_machines_owner_gets_in_again_and_nobody_else_stays(
    app: App, owner: httpx.AsyncClient, clock: Clock
) -> None:
    await switch_totp_on(owner, clock)
    ended = await Account(app.opened.db, Passwords()).reset_password(OTHER_PASSWORD)
    assert ended == 1
    assert not await is_signed_in(owner)
    assert (await sign_in(owner)).status_code == 403
    assert (await sign_in(owner, OTHER_PASSWORD)).status_code == 303
    assert Action.PASSWORD_RESET in await actions(app)


async def test_a_password_that_was_set_meanwhile_ends_the_link(app: App) -> None:
    token = await app.opened.owner.set_up_link.make()
    await Account(app.opened.db, Passwords()).reset_password(OTHER_PASSWORD)
    client = await visitor(app)
    answer = await client.post("/set-up", data={"token": token, "password": PASSWORD, "again": PASSWORD})
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert not await is_signed_in(client)
    assert (await sign_in(client, OTHER_PASSWORD)).status_code == 303


async def test_under_https_cookies_are_bound_to_the_host_and_to_tls(tmp_path: Path) -> None:
    async with open_app(tmp_path, server={"public_url": "https://pay.example.com"}) as app:
        token = await app.opened.owner.set_up_link.make()
        client = await visitor(app)
        answer = await client.post(
            "/set-up",
            data={"token": token, "password": PASSWORD, "again": PASSWORD},
            # A proxy that writes its own Host: the public address is this site as well.
            headers={"Origin": "https://pay.example.com", "Host": "127.0.0.1:4020"},
        )
        assert answer.status_code == 303
        cookies = answer.headers.get_list("set-cookie")
        assert len(cookies) == 3
        for cookie in cookies:
            assert cookie.startswith("__Host-checkout_")
            for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
                assert part in cookie
            assert "Domain" not in cookie


async def test_over_http_with_an_https_address_nobody_signs_in_and_is_told_where(tmp_path: Path) -> None:
    async with open_app(tmp_path, server={"public_url": "https://pay.example.com"}) as app:
        token = await app.opened.owner.set_up_link.make()
        client = await visitor(app, site="http://pay.example.com")
        answer = await client.post("/set-up", data={"token": token, "password": PASSWORD, "again": PASSWORD})
        assert answer.status_code == 403
        assert "Open this page over https" in answer.text
        assert "set-cookie" not in answer.headers
        for origin in ("http://pay.example.com", "http://192.168.1.5:4020"):
            answer = await client.post("/sign-in", data={"password": PASSWORD}, headers={"Origin": origin})
            assert answer.status_code == 403
            assert 'href="https://pay.example.com/dashboard/sign-in"' in answer.text
        proxied = {"X-Forwarded-Proto": "http", "Origin": ""}
        answer = await client.get("/set-up", params={"token": token}, headers=proxied)
        assert answer.status_code == 403
        assert f'href="https://pay.example.com/dashboard/set-up?token={token}"' in answer.text
        assert await app.opened.owner.set_up_link.is_good(token), "the link is as good as before"

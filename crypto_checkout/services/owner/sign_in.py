"""Let the owner in: the first password, signing in, and the resulting logins.

Limits on the number of attempts are set in `http.dashboard.frame.throttle`.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta

from crypto_checkout.core import ids
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.owner.account import LONGEST, Admin, Browser, Login
from crypto_checkout.core.owner.audit import Action, Actor, ActorKind
from crypto_checkout.encryption import SECOND_FACTOR, Cipher
from crypto_checkout.services.owner import second_factor
from crypto_checkout.services.owner.audit import record
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.owner import account as store
from crypto_checkout.store.owner import logins

_SEEN_EVERY = timedelta(minutes=1)
_KNOWN_FOR = timedelta(days=400)
_MOST_AGENT_CHARACTERS = 300


class AlreadySetUp(Exception):
    """There is a password already."""


class LoginEnded(Exception):
    """The login behind a write ended after its request began."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The owner's credentials; `code` is an authenticator or recovery code, empty without a second factor."""

    password: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class NewLogin:
    """A new login with its token, and a token that identifies its browser later; neither can be read again."""

    login: Login
    token: str
    browser_token: str


class SignIn:
    """Signs the owner in to the dashboard."""

    def __init__(self, db: Database, passwords: Passwords, clock: Clock) -> None:
        self._db = db
        self._passwords = passwords
        self._clock = clock

    async def account(self) -> Admin | None:
        """Return the account, None before the first password."""
        return await self._db.read(store.get)

    def reads_codes(self, account: Admin) -> bool:
        """Tell whether the codes of the owner's app can be checked: not without the key that its secret needs."""
        secret = account.totp_secret
        return secret is None or self._db.cipher.decrypt(secret, SECOND_FACTOR) is not None

    async def set_up(self, password: str, browser: Browser) -> NewLogin:
        """Set the first password and begin a login. Raises AlreadySetUp."""
        password_hash = await self._passwords.hash(password)

        def work(unit: WriteUnit) -> NewLogin:
            if store.get(unit) is not None:
                raise AlreadySetUp
            store.set_password(unit, password_hash)
            return _start(unit, browser, Action.SET_UP)

        return await self._db.write(work)

    async def sign_in(self, credentials: Credentials, browser: Browser) -> NewLogin | None:
        """Begin a login; return None for a wrong password or code, after the same time."""
        account = await self.account()
        is_right = account is not None and await self._passwords.matches(account.password_hash, credentials.password)

        def work(unit: WriteUnit) -> NewLogin | None:
            if _admits(unit, self._db.cipher, account, credentials, is_right=is_right, actor=_visitor(browser)):
                return _start(unit, browser, Action.SIGNED_IN)
            record(unit, _visitor(browser), Action.SIGN_IN_REFUSED)
            return None

        return await self._db.write(work)

    async def confirm(self, login: Login, credentials: Credentials) -> bool:
        """Record in a login that the owner confirmed the password; return False for a wrong password or code."""
        account = await self.account()
        is_right = account is not None and await self._passwords.matches(account.password_hash, credentials.password)

        def work(unit: WriteUnit) -> bool:
            actor = owner(login, login.browser.address)
            if not _admits(unit, self._db.cipher, account, credentials, is_right=is_right, actor=actor):
                record(unit, actor, Action.SIGN_IN_REFUSED, detail="when asked for the password again")
                return False
            logins.mark_confirmed(unit, login.id)
            return True

        return await self._db.write(work)

    async def login(self, token: str) -> Login | None:
        """Return the login of a cookie's token; None for an unknown or ended one."""
        login = await self._db.read(lambda unit: logins.by_sha256(unit, digest(token)))
        now = self._clock()
        if login is None or not login.is_valid(now):
            return None
        if abs(now - login.seen_at) >= _SEEN_EVERY:
            await self._db.write(lambda unit: logins.mark_seen(unit, login.id))
            return replace(login, seen_at=now)
        return login

    async def is_known_browser(self, token: str) -> bool:
        """Tell whether this browser has signed in before."""
        return await self._db.read(lambda unit: logins.is_known_browser(unit, digest(token)))


def owner(login: Login, address: str) -> Actor:
    """Return the owner as an actor of the audit trail."""
    return Actor(ActorKind.OWNER, login.id, address)


def check_login(unit: WriteUnit, actor: Actor) -> None:
    """Refuse a write whose login has ended meanwhile. Raises LoginEnded.

    A request can take half a minute to arrive. Once the owner ends a stolen login, it must not change the password.
    """
    if actor.login_id is not None and not logins.exists(unit, actor.login_id):
        raise LoginEnded


def _visitor(browser: Browser) -> Actor:
    return Actor(ActorKind.VISITOR, None, browser.address)


def _admits(
    unit: WriteUnit, cipher: Cipher, checked: Admin | None, credentials: Credentials, *, is_right: bool, actor: Actor
) -> bool:
    """Tell whether the password was right and still is, and use up the code."""
    account = store.get(unit)
    if account is None or checked is None or account.password_hash != checked.password_hash or not is_right:
        return False
    taken = second_factor.take(unit, cipher, account, credentials.code)
    if taken == "recovery code":
        left = store.count_recovery_codes(unit)
        record(unit, actor, Action.RECOVERY_CODE_USED, detail=f"{left} left")
    return taken is not None


def _start(unit: WriteUnit, browser: Browser, action: Action) -> NewLogin:
    """Begin a login, and delete expired ones."""
    login = Login(
        id=unit.new_id(ids.LOGIN),
        browser=Browser(browser.address, browser.user_agent[:_MOST_AGENT_CHARACTERS]),
        created_at=unit.now,
        seen_at=unit.now,
        confirmed_at=unit.now,
    )
    token, browser_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    logins.insert(unit, login, digest(token))
    logins.remember_browser(unit, digest(browser_token))
    logins.end_old(unit, unit.now - LONGEST)
    logins.forget_browsers(unit, unit.now - _KNOWN_FOR)
    record(unit, owner(login, browser.address), action, subject=login.id, detail=login.browser.user_agent)
    return NewLogin(login, token, browser_token)


def digest(token: str) -> str:
    """Return the digest that is stored in place of a token."""
    return hashlib.sha256(token.encode()).hexdigest()

"""Change how the owner gets in: the password, the second factor, the recovery codes, and the logins there are."""

from dataclasses import dataclass

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.owner.account import Admin, Login
from crypto_checkout.core.owner.audit import COMMAND_LINE, Action, Actor
from crypto_checkout.services.owner import second_factor
from crypto_checkout.services.owner.audit import record
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.services.owner.sign_in import check_login, digest
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.owner import account as store
from crypto_checkout.store.owner import logins


@dataclass(frozen=True, slots=True)
class Security:
    """How the account is protected now; `logins` are the ones that have not ended, newest first."""

    account: Admin
    recovery_codes: int
    logins: tuple[Login, ...]


class Account:
    """The owner's account; who may change it is checked before."""

    def __init__(self, db: Database, passwords: Passwords) -> None:
        self._db = db
        self._passwords = passwords

    async def security(self) -> Security:
        """Return how the account is protected. Raises ResourceNotFound where there is no account."""

        def read(unit: ReadUnit) -> Security:
            account = store.get(unit)
            if account is None:
                raise ResourceNotFound("The dashboard has no password yet.")
            valid = tuple(login for login in logins.all_logins(unit) if login.is_valid(unit.now))
            return Security(account, store.count_recovery_codes(unit), valid)

        return await self._db.read(read)

    async def change_password(self, login: Login, actor: Actor, password: str, browser_token: str) -> int:
        """Set another password and end every other login; return how many that were.

        Of the browsers that signed in before only this one stays known: each has attempts of its own, and who knew the
        old password could have gathered any number of them.
        """
        password_hash = await self._passwords.hash(password)

        def work(unit: WriteUnit) -> int:
            check_login(unit, actor)
            store.set_password(unit, password_hash)
            logins.forget_browsers(unit, None, but=digest(browser_token))
            ended = logins.end_all(unit, but=login.id)
            record(unit, actor, Action.PASSWORD_CHANGED, detail=f"other logins ended: {ended}")
            return ended

        return await self._db.write(work)

    async def reset_password(self, password: str) -> int:
        """Set a password from the command line, first or not: logins end, and no second factor is asked for any more.

        Return how many logins ended.
        """
        password_hash = await self._passwords.hash(password)

        def work(unit: WriteUnit) -> int:
            store.set_password(unit, password_hash)
            store.set_totp(unit, None, 0)
            store.set_recovery_codes(unit, [])
            logins.forget_browsers(unit, None)
            ended = logins.end_all(unit)
            record(unit, COMMAND_LINE, Action.PASSWORD_RESET, detail=f"logins ended: {ended}")
            return ended

        return await self._db.write(work)

    async def switch_totp_on(self, actor: Actor, secret: str, code: str) -> list[str] | None:
        """Ask for a second factor from now on; return the recovery codes, None where the code doesn't fit."""

        def work(unit: WriteUnit) -> list[str] | None:
            check_login(unit, actor)
            step = second_factor.step_of(secret, code, unit.now)
            if step is None:
                return None
            store.set_totp(unit, secret, step)
            record(unit, actor, Action.TOTP_SWITCHED_ON)
            return second_factor.new_recovery_codes(unit)

        return await self._db.write(work)

    async def switch_totp_off(self, actor: Actor) -> None:
        """Ask for no second factor any more; the recovery codes go with it."""

        def work(unit: WriteUnit) -> None:
            check_login(unit, actor)
            store.set_totp(unit, None, 0)
            store.set_recovery_codes(unit, [])
            record(unit, actor, Action.TOTP_SWITCHED_OFF)

        await self._db.write(work)

    async def new_recovery_codes(self, actor: Actor) -> list[str]:
        """Replace the recovery codes; return the new ones, which are known now and never again."""

        def work(unit: WriteUnit) -> list[str]:
            check_login(unit, actor)
            record(unit, actor, Action.RECOVERY_CODES_MADE)
            return second_factor.new_recovery_codes(unit)

        return await self._db.write(work)

    async def end_login(self, actor: Actor, login_id: str) -> bool:
        """End a login; False where it had ended before."""

        def work(unit: WriteUnit) -> bool:
            is_own = login_id == actor.login_id
            if not is_own:
                check_login(unit, actor)
            ended = logins.end(unit, login_id)
            if ended:
                record(unit, actor, Action.SIGNED_OUT if is_own else Action.LOGINS_ENDED, subject=login_id)
            return ended

        return await self._db.write(work)

    async def end_other_logins(self, login: Login, actor: Actor) -> int:
        """End every login but one; return how many."""

        def work(unit: WriteUnit) -> int:
            check_login(unit, actor)
            ended = logins.end_all(unit, but=login.id)
            record(unit, actor, Action.LOGINS_ENDED, detail=f"all others: {ended}")
            return ended

        return await self._db.write(work)

"""Change the owner's access: the password, the second factor, the recovery codes, and the logins."""

from dataclasses import dataclass

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.owner.account import Admin, Login
from crypto_checkout.core.owner.audit import COMMAND_LINE, Action, Actor
from crypto_checkout.encryption import SECOND_FACTOR
from crypto_checkout.services.owner import second_factor
from crypto_checkout.services.owner.audit import record
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.services.owner.sign_in import check_login, digest
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.owner import account as store
from crypto_checkout.store.owner import logins


@dataclass(frozen=True, slots=True)
class Security:
    """The protection of the account now; `logins` are those still valid, newest first."""

    account: Admin
    recovery_codes: int
    logins: tuple[Login, ...]


class Account:
    """The owner's account. Callers have checked that the actor may change it."""

    def __init__(self, db: Database, passwords: Passwords) -> None:
        self._db = db
        self._passwords = passwords

    async def security(self) -> Security:
        """Return the protection of the account. Raises ResourceNotFound before the first password."""

        def read(unit: ReadUnit) -> Security:
            account = store.get(unit)
            if account is None:
                raise ResourceNotFound("The dashboard has no password yet.")
            valid = tuple(login for login in logins.all_logins(unit) if login.is_valid(unit.now))
            return Security(account, store.count_recovery_codes(unit), valid)

        return await self._db.read(read)

    async def change_password(self, login: Login, actor: Actor, password: str, browser_token: str) -> int:
        """Set another password, end every other login, and return their number.

        Only this browser stays known. Each known browser has attempts of its own, and an intruder with the old
        password could have collected any number of them.
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
        """Set a password from the command line, remove the second factor, end all logins, and return their number."""
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
        """Require a second factor from now on; return the recovery codes, or None for a wrong code."""

        def work(unit: WriteUnit) -> list[str] | None:
            check_login(unit, actor)
            step = second_factor.step_of(secret, code, unit.now)
            if step is None:
                return None
            store.set_totp(unit, self._db.cipher.encrypt(secret, SECOND_FACTOR), step)
            record(unit, actor, Action.TOTP_SWITCHED_ON)
            return second_factor.new_recovery_codes(unit)

        return await self._db.write(work)

    async def switch_totp_off(self, actor: Actor) -> None:
        """Stop requiring a second factor, and delete the recovery codes."""

        def work(unit: WriteUnit) -> None:
            check_login(unit, actor)
            store.set_totp(unit, None, 0)
            store.set_recovery_codes(unit, [])
            record(unit, actor, Action.TOTP_SWITCHED_OFF)

        await self._db.write(work)

    async def new_recovery_codes(self, actor: Actor) -> list[str]:
        """Replace the recovery codes; return the new ones, which can't be read again."""

        def work(unit: WriteUnit) -> list[str]:
            check_login(unit, actor)
            record(unit, actor, Action.RECOVERY_CODES_MADE)
            return second_factor.new_recovery_codes(unit)

        return await self._db.write(work)

    async def end_login(self, actor: Actor, login_id: str) -> bool:
        """End a login; return False if it had ended before."""

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
        """End every login but one, and return their number."""

        def work(unit: WriteUnit) -> int:
            check_login(unit, actor)
            ended = logins.end_all(unit, but=login.id)
            record(unit, actor, Action.LOGINS_ENDED, detail=f"all others: {ended}")
            return ended

        return await self._db.write(work)

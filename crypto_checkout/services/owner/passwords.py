"""Hash passwords with argon2id (RFC 9106), outside the event loop and one at a time: each takes 64 MiB."""

import asyncio

from crypto_checkout.core.owner.password import normalized


class Passwords:
    """Hashes and compares passwords, with argon2-cffi's parameters: the second set that RFC 9106 recommends."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def hash(self, password: str) -> str:
        """Return the hash of a new password, with its salt and parameters (PHC string format)."""
        from argon2 import PasswordHasher

        async with self._turn:
            return await asyncio.to_thread(PasswordHasher().hash, normalized(password))

    async def matches(self, password_hash: str, password: str) -> bool:
        """Tell whether a password matches a hash."""
        async with self._turn:
            return await asyncio.to_thread(_matches, password_hash, password)


def _matches(password_hash: str, password: str) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import VerifyMismatchError

    try:
        return PasswordHasher().verify(password_hash, normalized(password))
    except VerifyMismatchError:
        return False

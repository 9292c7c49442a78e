"""Repeat a check against a chain until it passes: once per start.

Until then no sessions are made there, unless an earlier start has left enough evidence to go on meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.log import get_logger

log = get_logger("start")

Key = TypeVar("Key")

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 5.0
_CONTRADICTED_PAUSE_SECONDS = 60.0


class Contradiction(Exception):
    """The chain contradicts the configuration; `public` is the reason that callers of the API may see."""

    def __init__(self, message: str, *, public: str) -> None:
        super().__init__(message)
        self.public = public


async def until_passed(
    unready: dict[Key, str], key: Key, check: Callable[[], Awaitable[object]], *, what: str, chain_id: int
) -> None:
    """Check until it passes, then remove the key from `unready`, which holds the reason until then.

    A key that isn't in `unready` is trusted: only a contradiction puts it there. `what` names the subject, as in "the
    wallet can't be compared with the chain".
    """
    pause, logged = _FIRST_PAUSE_SECONDS, ""
    while True:
        try:
            await check()
        except Contradiction as error:
            if str(error) != logged:
                log.critical("the configuration contradicts the chain", chain=chain_id, error=str(error))
            unready[key], logged = error.public, str(error)
            # A single node may be wrong: it is asked again, but not often.
            pause = _CONTRADICTED_PAUSE_SECONDS
        except RecoverableError as error:
            if key in unready:
                unready[key] = f"its node doesn't answer, so {what} can't be compared with the chain."
            log.warning("can't be compared with the chain yet", chain=chain_id, error=f"{what}: {error}")
        except Exception as error:  # a loop's boundary: a bug must not close the shop silently
            if key in unready:
                unready[key] = f"comparing {what} with the chain failed; the server's log has the reason."
            log.exception("comparing with the chain failed", chain=chain_id, error=f"{what}: {error}")
            pause = _CONTRADICTED_PAUSE_SECONDS
        else:
            unready.pop(key, None)
            return
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

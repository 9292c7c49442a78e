"""The limits on password attempts, and on what asks servers elsewhere: trials, and mails sent again.

Each address has a burst of attempts, then one every 30 seconds; all addresses together have a limit, too, because an
attacker may have many. Neither can lock the owner out: a browser that signed in before has attempts of its own, and
the machine itself, for example through an SSH tunnel, is exempt from the common limit. There, the command line can set
a new password.
"""

from starlette.types import Scope

from crypto_checkout.core.errors import RateLimitExceeded
from crypto_checkout.http.entry.client_address import is_local
from crypto_checkout.http.rate_limit import Processes, RateLimit, client_name
from crypto_checkout.services.owner.sign_in import SignIn

_ADDRESS_PER_SECOND, _ADDRESS_BURST = 1 / 30, 10
_ACCOUNT_PER_SECOND, _ACCOUNT_BURST = 1 / 15, 60
_BROWSER_PER_SECOND, _BROWSER_BURST = 1 / 15, 20
_TRIALS_PER_SECOND, _TRIALS_BURST = 1 / 5, 12

_ACCOUNT = "account"


class Throttle:
    """Counts attempts, in memory."""

    def __init__(self, sign_in: SignIn, processes: Processes) -> None:
        self._sign_in = sign_in
        self._addresses = RateLimit(per_second=_ADDRESS_PER_SECOND, burst=_ADDRESS_BURST, processes=processes)
        self._account = RateLimit(per_second=_ACCOUNT_PER_SECOND, burst=_ACCOUNT_BURST, processes=processes)
        self._trials = RateLimit(per_second=_TRIALS_PER_SECOND, burst=_TRIALS_BURST, processes=processes)
        self._browsers = RateLimit(per_second=_BROWSER_PER_SECOND, burst=_BROWSER_BURST, processes=processes)

    async def count(self, scope: Scope, browser: str) -> None:
        """Count an attempt by a request, from a browser with this token. Raises RateLimitExceeded."""
        if browser and await self._sign_in.is_known_browser(browser):
            _take(self._browsers, browser)
            return
        _take(self._addresses, client_name(scope["client_address"]))
        if not is_local(scope):
            _take(self._account, _ACCOUNT)

    def count_trial(self, address: str) -> None:
        """Count a trial of prices, nodes or mail, which asks servers elsewhere. Raises RateLimitExceeded."""
        self._trials.take(client_name(address)).check()

    def forgive(self, address: str, browser: str) -> None:
        """Reset the attempts of an address and a browser, after a sign-in."""
        self._addresses.refill(client_name(address))
        self._browsers.refill(browser)


def _take(limit: RateLimit, name: str) -> None:
    allowance = limit.take(name)
    if not allowance.is_allowed:
        seconds = allowance.retry_after_seconds
        raise RateLimitExceeded(
            f"Too many password attempts. Try again in {seconds} s. Browsers that have signed in before have their own "
            "limit, and so does the server itself. There, `crypto-checkout admin reset-password` sets a new password.",
            retry_after_seconds=seconds,
        )

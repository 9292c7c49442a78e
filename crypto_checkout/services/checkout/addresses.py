"""Derive deposit addresses before they are needed.

With a native library an address takes 0.03 ms, and the event loop derives the next ones while it waits for the commit
that gives out the last: a thread would contend with it for the interpreter, at twice the cost. Without the library
(there is none for the newest Python) an address takes 5 ms, and a thread of its own derives them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import Wallet

log = get_logger("wallets")

AHEAD = 64
_IN_A_TURN = 8
_RESTORED = (
    "the database was restored to an earlier state under this running server: addresses that were given out since are "
    "passed over"
)


class GivenOutRecord(Protocol):
    """Records the last address given out, beside the database; see `store.data_folder.given_out`."""

    def is_stored(self, wallet_id: str, index: int) -> bool:
        """Tell whether an index was given out before."""

    def take_as_stored(self) -> object:
        """Count every index that was recorded as given out, in the last moment too."""

    def note(self, wallet_id: str, index: int) -> None:
        """Record that an index is being given out; the record is stored before the unit is committed."""


class AddressGivenOut(ValueError):
    """An index that was given out before: the database was restored to an earlier state while this process ran."""


class Addresses:
    """A wallet whose next addresses are derived ahead; use it from any thread, and `close` it at the end.

    Make it on the event loop.
    """

    def __init__(self, wallet: Wallet, given_out: GivenOutRecord) -> None:
        self._wallet = wallet
        self._wallet_id = wallet.wallet_id  # a hash
        self._given_out = given_out
        self._next = 0
        self._derived_to = 0
        self._ready: dict[int, Address] = {}
        self._loop = asyncio.get_running_loop()
        self._thread = None if wallet.is_quick else ThreadPoolExecutor(max_workers=1, thread_name_prefix="addresses")
        self._is_deriving = False
        self._is_restored = False

    @property
    def wallet_id(self) -> str:
        """The wallet's name in the database."""
        return self._wallet_id

    @property
    def wallet(self) -> Wallet:
        """The wallet itself, to derive addresses without giving them out."""
        return self._wallet

    @property
    def is_quick(self) -> bool:
        """True if an address takes microseconds."""
        return self._wallet.is_quick

    @property
    def branch(self) -> str | None:
        """The derivation path above all addresses, None if they are derived from no key."""
        return self._wallet.branch

    def address(self, index: int) -> Address:
        """Give out the address at an index, and derive the next ones. Raises ValueError for an index without a key.

        The index is recorded before the commit: one that is recorded and never used is only a gap. Raises
        AddressGivenOut for one that is known to be given out.
        """
        if self._given_out.is_stored(self.wallet_id, index):
            self._given_out.take_as_stored()
            if not self._is_restored:
                self._is_restored = True
                log.critical(_RESTORED, wallet=self.wallet_id, index=index)
            raise AddressGivenOut(f"address {index} was given out before")
        self._given_out.note(self.wallet_id, index)
        ready = self._ready.pop(index, None)
        self.prepare(index + 1)
        return self._wallet.address(index) if ready is None else ready

    def prepare(self, first: int) -> None:
        """Have the addresses from an index on derived soon, once fewer than half of them are ready."""
        self._next = first
        if self._is_deriving or first <= self._derived_to - AHEAD // 2 <= first + AHEAD // 2:
            return
        self._is_deriving = True
        start = self._loop.call_soon_threadsafe if self._thread is None else self._thread.submit
        start(self._derive)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _derive(self) -> None:
        """Derive addresses ahead; on the event loop a few in each turn."""
        first, end = self._next, self._next + AHEAD
        for passed in [index for index in list(self._ready) if not first <= index < end]:
            self._ready.pop(passed, None)
        start = self._derived_to if first <= self._derived_to <= end else first
        few = min(start + _IN_A_TURN, end) if self._thread is None else end
        for index in range(start, few):
            with suppress(ValueError):  # an index without a key (BIP-32)
                self._ready[index] = self._wallet.address(index)
        self._derived_to = few
        if few < end:
            self._loop.call_soon(self._derive)
        else:
            self._is_deriving = False

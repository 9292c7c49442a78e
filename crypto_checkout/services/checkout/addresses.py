"""Derive deposit addresses before they are needed.

With a native library an address takes 0.08 ms. Without one (there is none for the newest Python) it takes 5 ms, and
would hold up the writer: so a thread of its own derives the next addresses whenever one is taken.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import Wallet

log = get_logger("wallets")

AHEAD = 64
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
        """Record that an index was given out."""


class AddressGivenOut(ValueError):
    """An index that was given out before: the database was restored to an earlier state while this process ran."""


class Addresses:
    """A wallet whose next addresses are derived ahead; use it from any thread, and `close` it at the end."""

    def __init__(self, wallet: Wallet, given_out: GivenOutRecord) -> None:
        self._wallet = wallet
        self._wallet_id = wallet.wallet_id  # a hash
        self._given_out = given_out
        self._ready: dict[int, Address] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="addresses")
        self._deriving: Future[None] | None = None
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
    def branch(self) -> str | None:
        """The derivation path above all addresses, None if they are derived from no key."""
        return self._wallet.branch

    def address(self, index: int) -> Address:
        """Give out the address at an index, and derive the next ones. Raises ValueError for an index without a key.

        The index is recorded first: one that is recorded and never used is only a gap. Raises AddressGivenOut for one
        that is known to be given out.
        """
        if self._given_out.is_stored(self.wallet_id, index):
            self._given_out.take_as_stored()
            if not self._is_restored:
                self._is_restored = True
                log.critical(_RESTORED, wallet=self.wallet_id, index=index)
            raise AddressGivenOut(f"address {index} was given out before")
        self._given_out.note(self.wallet_id, index)
        ready = self._ready.pop(index, None)
        if index + AHEAD // 2 not in self._ready:  # waking the thread costs more than most addresses do
            self.prepare(index + 1)
        return self._wallet.address(index) if ready is None else ready

    def prepare(self, first: int) -> None:
        """Start deriving the addresses from an index on, unless that is under way."""
        if self._deriving is None or self._deriving.done():
            self._deriving = self._thread.submit(self._derive, first)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _derive(self, first: int) -> None:
        for index in range(first, first + AHEAD):
            if index not in self._ready:
                try:
                    self._ready[index] = self._wallet.address(index)
                except ValueError:
                    continue  # an index without a key (BIP-32)
        for index in [index for index in self._ready if index < first]:
            self._ready.pop(index, None)

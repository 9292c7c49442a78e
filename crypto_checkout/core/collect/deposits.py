"""Deposit addresses of cold-address mode: where money for one destination arrives, and who needs no key to move it on.

An address follows from the destination, the label and the index; these recover everything. The code that anybody may
put there is a clone (ERC-1167) of the Forwarder that takes plain coin for 15 gas and ends with the destination.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar

from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.collect.contracts import FORWARDER, address_bytes, create2_address_of_hash

SYSTEM = 1
"""The number of these contracts among all that this program ever used; a wallet keeps the one that it began with."""

TEST_LABEL = "\ntest mode"
"""The label of test mode's deposits. No configured label has a line break, so they are never those of real sessions,
and real money that is sent to one by mistake still goes to the owner."""

_RETURN_THE_REST = bytes.fromhex("3d604780600a3d3981f3")
_STOP_WITHOUT_CALLDATA = bytes.fromhex("36600557005b")
_CLONE_BEGINS = bytes.fromhex("363d3d373d3d3d363d73")
_CLONE_ENDS = bytes.fromhex("5af43d82803e903d91603157fd5bf3")


def code(destination: Address) -> bytes:
    """Return the 71 bytes of a deposit's code, once it has any."""
    clone = _CLONE_BEGINS + address_bytes(FORWARDER.address) + _CLONE_ENDS
    return _STOP_WITHOUT_CALLDATA + clone + address_bytes(destination)


def init_code(destination: Address) -> bytes:
    """Return the 81 bytes from which the deployment proxy creates a deposit."""
    return _RETURN_THE_REST + code(destination)


def salt(index: int, label: str = "") -> bytes:
    """Return the 32 bytes that tell the deposits of a destination apart; a label gives them an order of its own."""
    number = index.to_bytes(32)
    return keccak_256(keccak_256(label.encode()) + number) if label else number


@dataclass(frozen=True, slots=True)
class Deposits:
    """All deposit addresses of one destination and label.

    Args:
        destination: the only address that their money can go to.
        label: tells servers apart that share a destination; empty for the only one.
    """

    destination: Address
    label: str = ""
    _init_code_hash: bytes = field(init=False, repr=False, compare=False)

    is_quick: ClassVar = True
    """An address takes a few hashes, and no arithmetic of the curve."""

    branch: ClassVar = None
    """There is no key, so no derivation path either."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_init_code_hash", keccak_256(init_code(self.destination)))

    @property
    def wallet_id(self) -> str:
        """A short stable name of these addresses, under which the counter of given-out addresses is kept."""
        text = f"deposits {SYSTEM} {self.destination} {self.label}"
        return sha256(text.encode()).hexdigest()[:16]

    @property
    def livemode(self) -> bool:
        """False for the deposits of test mode."""
        return self.label != TEST_LABEL

    def address(self, index: int) -> Address:
        """Return deposit address number `index`, from 0 to 2^256 - 1."""
        return self.address_of(self.salt(index))

    def salt(self, index: int) -> bytes:
        """Return the salt of deposit address number `index`."""
        return salt(index, self.label)

    def address_of(self, salt_bytes: bytes) -> Address:
        """Return the deposit address of a salt."""
        return create2_address_of_hash(salt_bytes, self._init_code_hash)

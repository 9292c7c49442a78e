"""The contracts that collect: their addresses, the same on every chain, and the hashes of the code that must be there.

Each is created by the deterministic deployment proxy (https://github.com/Arachnid/deterministic-deployment-proxy) with
CREATE2 (EIP-1014) and salt 0, by anybody, once a chain.
"""

from dataclasses import dataclass

from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.collect import bytecode

CREATE2_PROXY = Address("0x4e59b44847b379578588920ca78fbf26c0b4956c")
CREATE2_PROXY_CODE_HASH = "0x2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"

COLLECTED_TOPIC = "0x484decdc1e9549e1866295f6f86c889ded3f7de410e7488a7a415978589dc8fd"
"""keccak256("Collected(address,address,uint256)"): destination and token (zero: the coin) indexed, then the amount."""

DELEGATION_PREFIX = "0xef0100"
"""Code of an account that delegates (EIP-7702) begins with it; the delegate's address follows."""

_NO_SALT = bytes(32)
_WORD = 32


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract as it is on every chain where it was deployed.

    Attributes:
        init_code: creates it, the constructor's argument included.
        code_hash: keccak256 of its code, in hexadecimal with 0x.
    """

    name: str
    address: Address
    init_code: bytes
    code_hash: str

    @property
    def deployment(self) -> bytes:
        """The calldata with which the deployment proxy creates the contract: salt 0, then the init code."""
        return _NO_SALT + self.init_code


def create2_address(salt: bytes, init_code: bytes) -> Address:
    """Return the address of what the deployment proxy creates from a salt of 32 bytes and an init code (EIP-1014)."""
    return create2_address_of_hash(salt, keccak_256(init_code))


def create2_address_of_hash(salt: bytes, init_code_hash: bytes) -> Address:
    """Return `create2_address` for an init code of which only keccak256 is at hand."""
    preimage = b"\xff" + address_bytes(CREATE2_PROXY) + salt + init_code_hash
    return Address("0x" + keccak_256(preimage)[12:].hex())


def address_bytes(address: Address) -> bytes:
    """Return the 20 bytes of an address."""
    return bytes.fromhex(address[2:])


def word(address: Address) -> bytes:
    """Return an address as the ABI's word of 32 bytes."""
    return address_bytes(address).rjust(_WORD, b"\0")


FORWARDER = Contract(
    "Forwarder",
    create2_address(_NO_SALT, bytecode.FORWARDER),
    bytecode.FORWARDER,
    "0xe86aac112f9988133c3ec98348404fe95752adf9c71f1164c32fb92f51243a4a",
)
COLLECTOR = Contract(
    "Collector",
    create2_address(_NO_SALT, bytecode.COLLECTOR + word(FORWARDER.address)),
    bytecode.COLLECTOR + word(FORWARDER.address),
    "0xe6c47bedc7f4c7271b6309080be69d6c682970c6e6b7e39404130df9c5825f16",
)


def delegate(destination: Address) -> Contract:
    """Return the contract to which accounts of wallet mode delegate (EIP-7702), one for each destination.

    Raises:
        ValueError: the destination is zero, which the contract's constructor refuses.
    """
    if not any(address_bytes(destination)):
        raise ValueError("money can't be collected to the zero address")
    init_code = bytecode.DELEGATE + word(destination)
    code_hash = "0x" + keccak_256(delegate_code(destination)).hex()
    return Contract("Delegate", create2_address(_NO_SALT, init_code), init_code, code_hash)


def delegate_code(destination: Address) -> bytes:
    """Return the code of a destination's delegate, as the constructor leaves it."""
    code = bytearray(bytecode.DELEGATE[-bytecode.DELEGATE_CODE_BYTES :])
    for position in bytecode.DELEGATE_DESTINATION_AT:
        code[position : position + _WORD] = word(destination)
    return bytes(code)


def delegation(delegate_address: Address) -> str:
    """Return the code of an account that delegates there, in lower-case hexadecimal with 0x."""
    return DELEGATION_PREFIX + delegate_address[2:]

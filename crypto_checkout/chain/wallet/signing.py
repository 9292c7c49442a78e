"""Sign a plan to collect with the wallet's recovery phrase; needs no network, no database and no configuration.

Private keys live inside `sign` only: nothing is written, printed or logged, and no error repeats a word. What is signed
follows from the plan (`core.collect.plan.transactions`): delegations to this program's own contract for the destination
(EIP-7702), calls of the Collector, transfers to the destination, and coin for listed addresses. Nothing else can be.
"""

import hmac
from collections.abc import Iterator
from typing import Any

from crypto_checkout.chain.wallet.xpub import ACCOUNT_DEPTH, HARDENED, ExtendedPublicKey
from crypto_checkout.core.address import Address, checksum, keccak_256
from crypto_checkout.core.collect import plan as plans
from crypto_checkout.core.collect.contracts import delegate
from crypto_checkout.core.collect.plan import FUEL_INDEX, Authorization, Fees, Plan, PlanInvalid, Transaction
from crypto_checkout.core.collect.plan_file import SignedPlan, SignedTransaction

_DYNAMIC_FEE = 2  # EIP-1559
_SET_CODE = 4  # EIP-7702


class WordsInvalid(ValueError):
    """A recovery phrase that is none, or another wallet's."""


def sign(plan: Plan, words: str, passphrase: str) -> SignedPlan:
    """Sign every transaction of a plan that `plan_file.read_plan` accepted.

    Raises:
        WordsInvalid: The words are no recovery phrase (BIP-39).
        PlanInvalid: An address of the plan is not the wallet's.
    """
    keys = _Keys(_seed(words, passphrase), plan.path)
    if keys.wallet_id != plan.wallet_id:
        raise PlanInvalid(
            "these words (with this passphrase) make another wallet than the one that the plan empties: "
            f"its first address is {checksum(keys.address(0))}. Take the words whose wallet gave the server its xpub"
        )
    listed = [(each.index, each.address) for each in plan.items] + [(e.index, e.address) for e in plan.funding]
    for index, address in listed:
        if keys.address(index) != address:
            raise PlanInvalid(
                f"index {index} of this wallet is {checksum(keys.address(index))}, and the plan says "
                f"{checksum(address)}: it was tampered with"
            )
    if plan.fuel.address not in keys.fuel():
        raise PlanInvalid(f"{checksum(plan.fuel.address)}, which is to pay for gas, is no account of this wallet")
    signed = [_signed(plan, each, keys) for each in plans.transactions(plan)]
    return SignedPlan(plan, tuple(signed))


def fuel_address(key: ExtendedPublicKey) -> Address:
    """Return the account of a wallet that pays for gas: 1/0 below an account's key, or else the last index."""
    return key.child(1).address(0) if key.depth == ACCOUNT_DEPTH else key.address(FUEL_INDEX)


def verify(signed: SignedPlan) -> None:
    """Compare the signed transactions with those that the plan implies.

    Raises:
        PlanInvalid: One of them is another transaction, or somebody else's signature.
    """
    for expected, given in zip(plans.transactions(signed.plan), signed.transactions, strict=True):
        name = f"transaction {given.hash}"
        raw = bytes.fromhex(given.raw[2:])
        if "0x" + keccak_256(raw).hex() != given.hash:
            raise PlanInvalid(f"{name} was changed: its hash doesn't fit")
        if _decoded(raw, name) != _unsigned(signed.plan, expected):
            raise PlanInvalid(f"{name} is not the one that the plan says")
        from eth_account import Account

        if Account.recover_transaction(raw).lower() != expected.sender:
            raise PlanInvalid(f"{name} is not signed by {checksum(expected.sender)}")


def authorizations(transaction: SignedTransaction) -> list[dict[str, str]]:
    """Return the authorizations (EIP-7702) in a signed transaction, as JSON-RPC takes them."""
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    fields = TypedTransaction.from_bytes(HexBytes(transaction.raw)).as_dict()
    return [
        {
            "chainId": hex(each["chainId"]),
            "address": "0x" + bytes(each["address"]).hex(),
            "nonce": hex(each["nonce"]),
            "yParity": hex(each["yParity"]),
            "r": hex(each["r"]),
            "s": hex(each["s"]),
        }
        for each in fields.get("authorizationList", ())
    ]


# --- transactions ----------------------------------------------------------------------------------------------------


def _unsigned(plan: Plan, transaction: Transaction) -> dict[str, Any]:
    fees: Fees = plan.fees
    fields = {
        "type": _DYNAMIC_FEE,
        "chainId": plan.chain_id,
        "nonce": transaction.nonce,
        "maxFeePerGas": fees.per_gas,
        "maxPriorityFeePerGas": fees.priority_per_gas,
        "gas": transaction.gas,
        "to": checksum(transaction.to),
        "value": transaction.value,
        "data": "0x" + transaction.data.hex(),
    }
    if transaction.authorizations:
        fields["type"] = _SET_CODE
    return fields


def _signed(plan: Plan, transaction: Transaction, keys: "_Keys") -> SignedTransaction:
    from eth_account import Account

    fields = _unsigned(plan, transaction)
    if transaction.authorizations:
        to = delegate(plan.destination).address
        fields["authorizationList"] = [
            Account.sign_authorization(_authorization(plan, each, to), keys.private(each.index))
            for each in transaction.authorizations
        ]
    private = keys.fuel()[plan.fuel.address] if transaction.index is None else keys.private(transaction.index)
    result = Account.sign_transaction(fields, private)
    return SignedTransaction(result.hash.to_0x_hex(), result.raw_transaction.to_0x_hex())


def _authorization(plan: Plan, each: Authorization, to: Address) -> Any:
    return {"chainId": plan.chain_id, "address": checksum(to), "nonce": each.nonce}


def _decoded(raw: bytes, name: str) -> dict[str, Any]:
    """Read the fields of a signed transaction, without its signatures."""
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from eth_utils.exceptions import ValidationError
    from hexbytes import HexBytes
    from rlp.exceptions import RLPException

    try:
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        to, data = "0x" + bytes(fields["to"]).hex(), "0x" + bytes(fields["data"]).hex()
    except (ValueError, TypeError, KeyError, ValidationError, RLPException) as error:
        raise PlanInvalid(f"{name} is no transaction: {error}") from None
    names = ("type", "chainId", "nonce", "maxFeePerGas", "maxPriorityFeePerGas", "gas", "value")
    return {**{key: int(fields[key]) for key in names}, "to": checksum(Address(to)), "data": data}


# --- keys ------------------------------------------------------------------------------------------------------------


def _seed(words: str, passphrase: str) -> bytes:
    from eth_account.hdaccount.mnemonic import Mnemonic
    from eth_account.types import Language

    phrase = " ".join(words.split())
    if not any(Mnemonic(language).is_mnemonic_valid(phrase) for language in Language):
        count = len(phrase.split())
        raise WordsInvalid(
            f"these {count} words are no recovery phrase (BIP-39): a word is misspelt, missing, or not in its place"
        )
    return Mnemonic.to_seed(phrase, passphrase)


class _Keys:
    """The private keys below a path, each derived once (BIP-32, CKDpriv)."""

    def __init__(self, seed: bytes, path: str) -> None:
        master = hmac.digest(b"Bitcoin seed", seed, "sha512")
        node = master[:32], master[32:]
        *account, chain = _steps(path)
        for number in account:
            node = _child(node, number)
        self._account = node
        self._chain = _child(node, chain)
        self._private: dict[int, bytes] = {}
        self._fuel: dict[Address, bytes] = {}

    @property
    def wallet_id(self) -> str:
        point = _point(self._chain[0])
        return ExtendedPublicKey(4, bytes(4), 0, self._chain[1], point).wallet_id

    def private(self, index: int) -> bytes:
        if index not in self._private:
            self._private[index] = _child(self._chain, index)[0]
        return self._private[index]

    def address(self, index: int) -> Address:
        return _address(self.private(index))

    def fuel(self) -> dict[Address, bytes]:
        """Return the accounts that may pay for gas, with their keys."""
        if not self._fuel:
            internal = _child(_child(self._account, 1), 0)[0]
            self._fuel = {_address(key): key for key in (internal, self.private(FUEL_INDEX))}
        return self._fuel


def _steps(path: str) -> Iterator[int]:
    for step in path.split("/")[1:]:
        number = int(step.rstrip("'"))
        if number >= HARDENED:
            raise PlanInvalid(f"its path {path} has a step that no key has")
        yield number + HARDENED * step.endswith("'")


def _child(node: tuple[bytes, bytes], number: int) -> tuple[bytes, bytes]:
    from eth_account.hdaccount.deterministic import HardNode, SoftNode, derive_child_key

    kind = HardNode(number - HARDENED) if number >= HARDENED else SoftNode(number)
    return derive_child_key(*node, kind)


def _point(private: bytes) -> bytes:
    from eth_keys.datatypes import PrivateKey

    return PrivateKey(private).public_key.to_compressed_bytes()


def _address(private: bytes) -> Address:
    from eth_keys.datatypes import PrivateKey

    return Address(PrivateKey(private).public_key.to_address())

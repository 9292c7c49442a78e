"""A plan to collect as a JSON file, and the same with its signed transactions: how they travel between machines.

Units and wei are decimal text, as in the API; addresses are spelt as in EIP-55. `sha256` is the digest of everything
else, as compact JSON with sorted keys. It finds damage; it can't tell who wrote the file.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from crypto_checkout.core import address as addresses
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import plan as plans
from crypto_checkout.core.collect.contracts import COLLECTOR, delegate
from crypto_checkout.core.collect.plan import (
    BlockRef,
    Fees,
    Fuel,
    Funding,
    Item,
    LeftBehind,
    Plan,
    PlanInvalid,
    Way,
)

PLAN_FORMAT = "crypto-checkout-collect-plan"
SIGNED_FORMAT = "crypto-checkout-collect-signed"
VERSION = 1

_MODE = "wallet"  # a destination's deposits (cold-address mode) need no plan: anybody may collect them
_UNITS = re.compile(r"0|[1-9][0-9]{0,77}")
_HASH = re.compile(r"0x[0-9a-f]{64}")
_RAW = re.compile(r"0x([0-9a-f]{2})+")
_PATH = re.compile(r"m(/[0-9]{1,10}'?){1,8}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction ready to be sent: its hash and its bytes in hexadecimal."""

    hash: str
    raw: str


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """A plan with its transactions, in the order of `plan.transactions`."""

    plan: Plan
    transactions: tuple[SignedTransaction, ...]


# --- writing ---------------------------------------------------------------------------------------------------------


def plan_text(plan: Plan) -> str:
    """Write a plan as JSON."""
    return _text(_plan_object(plan))


def signed_text(signed: SignedPlan) -> str:
    """Write a signed plan as JSON."""
    return _text(
        {
            "format": SIGNED_FORMAT,
            "version": VERSION,
            "plan": _with_digest(_plan_object(signed.plan)),
            "transactions": [{"hash": each.hash, "raw": each.raw} for each in signed.transactions],
        }
    )


def digest(plan: Plan) -> str:
    """Return the digest in a plan's file, by which people can tell two files apart."""
    return _digest(_plan_object(plan))


def _plan_object(plan: Plan) -> dict[str, Any]:
    batched = plan.way is Way.EIP_7702
    return {
        "format": PLAN_FORMAT,
        "version": VERSION,
        "mode": _MODE,
        "chainId": plan.chain_id,
        "walletId": plan.wallet_id,
        "path": plan.path,
        "destination": checksum(plan.destination),
        "way": plan.way.value,
        "delegate": checksum(delegate(plan.destination).address) if batched else None,
        "collector": checksum(COLLECTOR.address) if batched else None,
        "deployGas": plan.deploy_gas,
        "block": {"number": plan.block.number, "hash": plan.block.hash},
        "items": [{**_amount(item), "nonce": item.nonce, "gas": item.gas} for item in plan.items],
        "funding": [
            {"index": each.index, "address": checksum(each.address), "units": str(each.units), "gas": each.gas}
            for each in plan.funding
        ],
        "fuel": {
            "address": checksum(plan.fuel.address),
            "nonce": plan.fuel.nonce,
            "units": str(plan.fuel.units),
        },
        "maxFeePerGas": str(plan.fees.per_gas),
        "maxPriorityFeePerGas": str(plan.fees.priority_per_gas),
        "maxTotalFee": str(plans.most_fees(plan)),
        "l1Fee": str(plan.fees.data),
        "leftBehind": [{**_amount(each), "reason": each.reason} for each in plan.left_behind],
    }


def _amount(item: Item | LeftBehind) -> dict[str, Any]:
    asset = item.asset
    return {
        "index": item.index,
        "address": checksum(item.address),
        "asset": {
            "symbol": asset.symbol,
            "decimals": asset.decimals,
            "contract": None if asset.contract is None else checksum(asset.contract),
        },
        "units": str(item.units),
    }


def _text(value: dict[str, Any]) -> str:
    return json.dumps(_with_digest(value), indent=1, ensure_ascii=False) + "\n"


def _with_digest(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**value, "sha256": _digest(value)}


def _digest(value: Mapping[str, Any]) -> str:
    rest = {key: each for key, each in value.items() if key != "sha256"}
    return sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


# --- reading ---------------------------------------------------------------------------------------------------------


def read_plan(text: str) -> Plan:
    """Read a plan's file and check it whole.

    Raises:
        PlanInvalid: It is no plan, was damaged or changed, or `plan.check` refuses it.
    """
    return _plan(_object(text, PLAN_FORMAT, "collect plan"))


def read_signed(text: str) -> SignedPlan:
    """Read a signed plan's file. `chain.wallet.signing` compares its transactions. Raises as `read_plan`."""
    value = _object(text, SIGNED_FORMAT, "collect sign")
    plan = _plan(_checked(value.take("plan", dict), PLAN_FORMAT, "collect plan"))
    signed = tuple(
        SignedTransaction(each.text("hash", _HASH), each.text("raw", _RAW)) for each in value.each("transactions")
    )
    value.end()
    if len(signed) != len(plans.transactions(plan)):
        raise PlanInvalid("it doesn't have a signature for each transaction of its plan")
    return SignedPlan(plan, signed)


class _Fields:
    """The fields of a JSON object, each to be taken once."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise PlanInvalid(f"{where or 'the file'} is no JSON object")
        self._left = dict(value)
        self._where = where

    def take(self, name: str, kind: type[T]) -> T:
        """Take a field of one type; true and false are no numbers."""
        if name not in self._left:
            raise PlanInvalid(f"{self._name(name)} is missing")
        value = self._left.pop(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise PlanInvalid(f"{self._name(name)} is not of the right type")
        return value

    def optional(self, name: str, take: Callable[[str], T]) -> T | None:
        """Take a field that may be null."""
        if name in self._left and self._left[name] is None:
            self._left.pop(name)
            return None
        return take(name)

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        """Take a text of a form."""
        value = self.take(name, str)
        if not pattern.fullmatch(value):
            raise PlanInvalid(f"{self._name(name)} is malformed")
        return value

    def words(self, name: str) -> str:
        """Take a text that can be shown on a terminal."""
        value = self.take(name, str)
        if not value.isprintable():
            raise PlanInvalid(f"{self._name(name)} has characters that can't be shown")
        return value

    def units(self, name: str) -> int:
        """Take an integer written as decimal text."""
        return int(self.text(name, _UNITS))

    def number(self, name: str) -> int:
        """Take an integer from 0 to 2^63 - 1."""
        value = self.take(name, int)
        if not 0 <= value < 2**63:
            raise PlanInvalid(f"{self._name(name)} is out of range")
        return value

    def address(self, name: str) -> Address:
        """Take an address in the spelling of EIP-55."""
        text = self.take(name, str)
        try:
            value = addresses.parse(text)
        except ValueError as error:
            raise PlanInvalid(f"{self._name(name)}: {error}") from None
        if text != checksum(value):
            raise PlanInvalid(f"{self._name(name)} is not spelt as in EIP-55")
        return value

    def inner(self, name: str) -> "_Fields":
        """Take an object."""
        return _Fields(self.take(name, dict), self._name(name))

    def each(self, name: str) -> "list[_Fields]":
        """Take a list of objects."""
        return [_Fields(value, f"{self._name(name)}[{i}]") for i, value in enumerate(self.take(name, list))]

    def end(self) -> None:
        """Refuse what was not taken."""
        for name in self._left:
            raise PlanInvalid(f"{self._name(str(name)[:40])} is not a field of this format")

    def _name(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name


def _object(text: str, kind: str, command: str) -> _Fields:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise PlanInvalid(f"this is no JSON: give the file that `crypto-checkout {command}` wrote") from None
    return _checked(value, kind, command)


def _checked(value: Any, kind: str, command: str) -> _Fields:
    if not isinstance(value, dict) or value.get("format") != kind:
        raise PlanInvalid(f"this is not the file that `crypto-checkout {command}` wrote")
    if value.get("version") != VERSION:
        raise PlanInvalid(f"its version is {value.get('version')!r}, and this program knows {VERSION}: update it")
    if value.get("sha256") != _digest(value):
        raise PlanInvalid("it was changed or damaged since it was written: its sha256 doesn't fit")
    return _Fields({key: value[key] for key in value if key not in ("format", "version", "sha256")}, "")


def _plan(value: _Fields) -> Plan:
    if value.take("mode", str) != _MODE:
        raise PlanInvalid(f'its mode is not "{_MODE}"')
    chain_id = value.number("chainId")
    block = value.inner("block")
    fuel = value.inner("fuel")
    plan = Plan(
        chain_id=chain_id,
        wallet_id=value.words("walletId"),
        path=value.text("path", _PATH),
        destination=value.address("destination"),
        way=_way(value.take("way", str)),
        block=BlockRef(block.number("number"), block.text("hash", _HASH)),
        items=tuple(_item(each, chain_id) for each in value.each("items")),
        funding=tuple(_funding(each) for each in value.each("funding")),
        fuel=Fuel(fuel.address("address"), fuel.number("nonce"), fuel.units("units")),
        fees=Fees(value.units("maxFeePerGas"), value.units("maxPriorityFeePerGas"), value.units("l1Fee")),
        deploy_gas=value.optional("deployGas", value.number),
        left_behind=tuple(_left_behind(each, chain_id) for each in value.each("leftBehind")),
    )
    block.end()
    fuel.end()
    plans.check(plan)
    _check_derived(value, plan)
    value.end()
    return plan


def _check_derived(value: _Fields, plan: Plan) -> None:
    """Hold what the file says of contracts and fees against what the program derives itself."""
    batched = plan.way is Way.EIP_7702
    expected = {
        "delegate": delegate(plan.destination).address if batched else None,
        "collector": COLLECTOR.address if batched else None,
    }
    for name, address in expected.items():
        if value.optional(name, value.address) != address:
            raise PlanInvalid(f"{name} is not the contract that this program would use")
    if value.units("maxTotalFee") != plans.most_fees(plan):
        raise PlanInvalid(f"maxTotalFee is not what its transactions cost at most: {plans.most_fees(plan)} wei")


def _way(text: str) -> Way:
    try:
        return Way(text)
    except ValueError:
        raise PlanInvalid(f"its way is {text[:20]!r}, which this program doesn't know") from None


def _item(value: _Fields, chain_id: int) -> Item:
    item = Item(
        value.number("index"),
        value.address("address"),
        _asset(value.inner("asset"), chain_id),
        value.units("units"),
        value.optional("nonce", value.number),
        value.number("gas"),
    )
    value.end()
    return item


def _funding(value: _Fields) -> Funding:
    funding = Funding(value.number("index"), value.address("address"), value.units("units"), value.number("gas"))
    value.end()
    return funding


def _left_behind(value: _Fields, chain_id: int) -> LeftBehind:
    left = LeftBehind(
        value.number("index"),
        value.address("address"),
        _asset(value.inner("asset"), chain_id),
        value.units("units"),
        value.words("reason"),
    )
    value.end()
    return left


def _asset(value: _Fields, chain_id: int) -> Asset:
    decimals = value.number("decimals")
    asset = Asset(chain_id, value.words("symbol"), decimals, value.optional("contract", value.address))
    value.end()
    return asset

"""A plan to collect in wallet mode: the amounts that move from addresses to one destination, and the cost.

It is made beside the server, signed where the recovery phrase is, and sent from anywhere (`plan_file` is its form on
the way). The signer trusts nothing in it: `transactions` derives every transaction from the plan alone, and `check`
refuses a plan that contradicts itself.

Fees are those of EIP-1559, in wei for a unit of gas. Units are the smallest of an asset.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.contracts import COLLECTOR, CREATE2_PROXY, delegate, word

MOST_ADDRESSES = 100
"""Addresses emptied in one transaction: 200 took 12.5 million gas, and EIP-7825 allows 16.8 million."""

MOST_GAS = 2**24
"""The most gas of one transaction (EIP-7825)."""

AUTHORIZATION_GAS = 25_000
"""The gas of each authorization: PER_EMPTY_ACCOUNT_COST of EIP-7702."""

FUEL_INDEX = 2**31 - 1
"""The index of the account that pays for gas where only the receiving chain's key is known."""

_BASE_GAS = 21_000
_GAS_A_BYTE = 40  # at least that much for each byte of a transaction's data, if all count as nonzero (EIP-7623)
_COLLECTOR_GAS = 450_000  # what the Collector wants to have left before each item, see `_need` in Collect.sol
_TRANSFER = bytes.fromhex("a9059cbb")  # transfer(address,uint256)


class PlanInvalid(ValueError):
    """A plan, or a signed plan, that is damaged, tampered with or made for something else; the message says where."""


class Way(StrEnum):
    """A way for money to leave the addresses of a wallet."""

    EIP_7702 = "eip7702"
    TRANSFERS = "transfers"


@dataclass(frozen=True, slots=True)
class BlockRef:
    """The block at which the plan was made."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Item:
    """An amount of one asset at one address.

    Attributes:
        nonce: of the authorization (EIP-7702), None where the address delegates already; else of the transfer.
        gas: the limit of the transfer, or its share of a batch.
    """

    index: int
    address: Address
    asset: Asset
    units: int
    nonce: int | None
    gas: int


@dataclass(frozen=True, slots=True)
class Funding:
    """Coin that an address needs to send its tokens; `gas` is the limit of the transaction that brings it."""

    index: int
    address: Address
    units: int
    gas: int


@dataclass(frozen=True, slots=True)
class Fuel:
    """The account of the same wallet that pays for gas: `units` are what all its transactions cost at most."""

    address: Address
    nonce: int
    units: int


@dataclass(frozen=True, slots=True)
class Fees:
    """The fees that no transaction exceeds; `data` is what an OP Stack chain charges for its data, at most."""

    per_gas: int
    priority_per_gas: int
    data: int


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """An amount that the plan doesn't move, and the reason."""

    index: int
    address: Address
    asset: Asset
    units: int
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan, for one chain.

    Attributes:
        path: the BIP-32 path of the chain of addresses: `path`/index is an item's.
        deploy_gas: the limit of the transaction that creates the delegate; None where that exists or isn't needed.
    """

    chain_id: int
    wallet_id: str
    path: str
    destination: Address
    way: Way
    block: BlockRef
    items: tuple[Item, ...]
    funding: tuple[Funding, ...]
    fuel: Fuel
    fees: Fees
    deploy_gas: int | None
    left_behind: tuple[LeftBehind, ...]


@dataclass(frozen=True, slots=True)
class Authorization:
    """An address's consent to delegate (EIP-7702)."""

    index: int
    address: Address
    nonce: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that the plan implies.

    Attributes:
        index: of the sending address; None for the fuel account.
        items: the items that it moves.
    """

    index: int | None
    sender: Address
    nonce: int
    to: Address
    value: int
    data: bytes
    gas: int
    items: tuple[Item, ...] = ()
    authorizations: tuple[Authorization, ...] = ()

    def cost(self, fees: Fees) -> int:
        """Return the most that it costs besides its value."""
        return self.gas * fees.per_gas + fees.data


# --- what a plan implies ---------------------------------------------------------------------------------------------


def transactions(plan: Plan) -> list[Transaction]:
    """Return the plan's transactions, in the order in which they are to be sent."""
    if plan.way is Way.EIP_7702:
        return [*_deployment(plan), *_batches(plan)]
    return [*_fundings(plan), *_transfers(plan)]


def most_fees(plan: Plan) -> int:
    """Return the most that all transactions of a plan cost together, in wei."""
    return sum(each.cost(plan.fees) for each in transactions(plan))


def fuel_needed(plan: Plan) -> int:
    """Return what the fuel account must hold, in wei: the costs of its transactions and what it gives to addresses."""
    return sum(each.cost(plan.fees) + each.value for each in transactions(plan) if each.index is None)


def likely_gas(plan: Plan) -> int:
    """Return the gas that the transactions will probably use: less than their limits, which hold reserves."""
    reserved = sum(_COLLECTOR_GAS for each in transactions(plan) if each.items and each.index is None)
    return sum(each.gas for each in transactions(plan)) - reserved


def _deployment(plan: Plan) -> Iterator[Transaction]:
    if plan.deploy_gas is not None:
        data = delegate(plan.destination).deployment
        yield Transaction(None, plan.fuel.address, plan.fuel.nonce, CREATE2_PROXY, 0, data, plan.deploy_gas)


def _batches(plan: Plan) -> Iterator[Transaction]:
    nonce = plan.fuel.nonce + (plan.deploy_gas is not None)
    for number, items in enumerate(batches(plan.items)):
        accounts: dict[Address, list[Address]] = {}
        for item in items:
            accounts.setdefault(item.asset.contract or calls.COIN, []).append(item.address)
        data = calls.collect_from(accounts)
        authorizations = {
            item.address: Authorization(item.index, item.address, item.nonce)
            for item in items
            if item.nonce is not None
        }
        yield Transaction(
            None,
            plan.fuel.address,
            nonce + number,
            COLLECTOR.address,
            0,
            data,
            _batch_gas(items),
            tuple(items),
            tuple(authorizations.values()),
        )


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Split items, whose addresses stand together, into batches that fit a transaction each."""
    batch: list[Item] = []
    for start in range(len(items)):
        item = items[start]
        if batch and item.address != batch[-1].address:
            rest = [each for each in items[start:] if each.address == item.address]
            full = len({each.address for each in batch}) == MOST_ADDRESSES
            if full or _batch_gas([*batch, *rest]) > MOST_GAS:
                yield batch
                batch = []
        batch.append(item)
    if batch:
        yield batch


def _batch_gas(items: Sequence[Item]) -> int:
    authorizations = len({item.address for item in items if item.nonce is not None})
    tokens = len({item.asset.contract for item in items})
    data = _GAS_A_BYTE * (4 + 32 * (2 + 4 * tokens + len(items)))
    return _BASE_GAS + data + AUTHORIZATION_GAS * authorizations + _COLLECTOR_GAS + sum(item.gas for item in items)


def _fundings(plan: Plan) -> Iterator[Transaction]:
    for number, each in enumerate(plan.funding):
        yield Transaction(None, plan.fuel.address, plan.fuel.nonce + number, each.address, each.units, b"", each.gas)


def _transfers(plan: Plan) -> Iterator[Transaction]:
    for item in plan.items:
        token = item.asset.contract
        if token is None:
            to, value, data = plan.destination, item.units, b""
        else:
            to, value, data = token, 0, transfer_call(plan.destination, item.units)
        if item.nonce is None:
            raise PlanInvalid(f"the transfer from address {item.index} has no nonce")
        yield Transaction(item.index, item.address, item.nonce, to, value, data, item.gas, (item,))


def transfer_call(to: Address, units: int) -> bytes:
    """Return the calldata of ERC-20's `transfer`."""
    return _TRANSFER + word(to) + units.to_bytes(32)


# --- whether a plan may be signed ------------------------------------------------------------------------------------


def check(plan: Plan) -> None:
    """Refuse a plan that contradicts itself, or that would do more than collect.

    Raises:
        PlanInvalid: The message says what is wrong.
    """
    if plan.chain_id < 1:
        raise PlanInvalid(f"chain id {plan.chain_id}: signatures for it would be valid on every chain")
    if not int(plan.destination, 16):
        raise PlanInvalid("its destination is the zero address")
    if not plan.items:
        raise PlanInvalid("it moves nothing")
    if not 0 <= plan.fees.priority_per_gas <= plan.fees.per_gas:
        raise PlanInvalid("its fees contradict each other")
    _check_items(plan)
    _check_nonces(plan)
    _check_funding(plan)
    if any(each.gas > MOST_GAS for each in transactions(plan)):
        raise PlanInvalid(f"a transaction has more than {MOST_GAS} gas, which no chain takes (EIP-7825)")
    if plan.fuel.units != fuel_needed(plan):
        raise PlanInvalid(f"it asks for {plan.fuel.units} wei of fuel, and its transactions cost {fuel_needed(plan)}")


def _check_items(plan: Plan) -> None:
    places: dict[Address, int] = {}
    indexes: dict[int, Address] = {}
    moved: set[tuple[Address, Address | None]] = set()
    listed = [(each.index, each.address, min(each.units, each.gas)) for each in plan.items]
    listed += [(each.index, each.address, min(each.units, each.gas)) for each in plan.funding]
    for index, address, least in listed:
        if places.setdefault(address, index) != index:
            raise PlanInvalid(f"{checksum(address)} is listed under two indexes")
        if indexes.setdefault(index, address) != address:
            raise PlanInvalid(f"index {index} is listed with two addresses")
        if least < 1:
            raise PlanInvalid(f"the amount or the gas at index {index} is not above zero")
    for item in plan.items:
        if (item.address, item.asset.contract) in moved:
            raise PlanInvalid(f"the {item.asset.symbol} at index {item.index} are listed twice")
        moved.add((item.address, item.asset.contract))
        if item.asset.chain_id != plan.chain_id:
            raise PlanInvalid(f"the {item.asset.symbol} at index {item.index} are on another chain")
    if plan.destination in places:
        raise PlanInvalid("its destination is one of the addresses that it empties")
    if plan.fuel.address in places:
        raise PlanInvalid("the account that pays for gas is one of the addresses that it empties")


def _check_nonces(plan: Plan) -> None:
    """Hold each address's nonces against its items, which must stand together."""
    done: set[Address] = set()
    for place, item in enumerate(plan.items):
        before = plan.items[place - 1] if place else None
        first = before is None or before.address != item.address
        if first and item.address in done:
            raise PlanInvalid(f"the items of index {item.index} don't stand together")
        done.add(item.address)
        if first or before is None:
            expected = item.nonce
        elif plan.way is Way.EIP_7702:
            expected = before.nonce
        else:
            expected = None if before.nonce is None else before.nonce + 1
        if item.nonce != expected:
            raise PlanInvalid(f"the nonces of index {item.index} don't follow each other")
        if plan.way is Way.TRANSFERS and before is not None and not first and before.asset.is_native:
            raise PlanInvalid(f"the coins at index {item.index} must be sent last, they pay for its tokens")


def _check_funding(plan: Plan) -> None:
    if plan.way is Way.EIP_7702:
        if plan.funding:
            raise PlanInvalid("it gives coin to addresses that need none")
        return
    if plan.deploy_gas is not None:
        raise PlanInvalid("it creates a contract that it doesn't need")
    costs: dict[Address, int] = {}
    for each in transactions(plan):
        if each.index is not None:
            costs[each.sender] = costs.get(each.sender, 0) + each.cost(plan.fees)
    funded = [each.address for each in plan.funding]
    if len(set(funded)) < len(funded):
        raise PlanInvalid("it gives coin to one address twice")
    for funding in plan.funding:
        if funding.units > costs.get(funding.address, 0):
            raise PlanInvalid(f"it gives more coin to index {funding.index} than sending its tokens can cost")

"""Collecting from a wallet's addresses on a real node: planned, signed with the words, sent, and sent again."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.evm.collect.sending import Sending
from crypto_checkout.chain.evm.collect.survey import Survey
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.chain.wallet import signing
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import draft, plan_file
from crypto_checkout.core.collect.contracts import COLLECTOR, delegate, delegation
from crypto_checkout.core.collect.plan import Plan, Way
from crypto_checkout.core.collect.plan_file import SignedPlan, SignedTransaction
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.collect.planner import CannotCollect, Planned, Planner, PlanRequest, WalletAddresses
from crypto_checkout.services.collect.sender import CannotSend, PlanSender, SentPlan
from tests.support import solidity
from tests.support.anvil import Anvil
from tests.support.collecting import deploy_contracts
from tests.support.fixed_prices import FixedPrices
from tests.support.plans import COIN, DESTINATION, WORDS
from tests.support.shop import ANVIL_CHAIN_ID
from tests.support.wallets import xpub_of

pytestmark = pytest.mark.anvil

ETHER = 10**18
MUCH = ETHER // 100
DOLLARS = 10**7
CONFIRMATIONS = 3
THROWAWAY = b"\x07" * 32


class Owner:
    """A merchant with a wallet on a node and one token, and the commands as services."""

    def __init__(self, node: Anvil, token: solidity.Contract) -> None:
        self.node, self.contract = node, token
        self.token = Asset(ANVIL_CHAIN_ID, "USDX", 6, Address(token.address.lower()), usd_pegged=True)
        self.key = ExtendedPublicKey.parse(xpub_of(WORDS))
        self.fuel = signing.fuel_address(self.key)
        self.rpc = Rpc(ANVIL_CHAIN_ID, [node.url])
        self.said: list[str] = []
        self.now = datetime.now(UTC)

    def address(self, index: int) -> Address:
        return self.key.address(index)

    def give(self, index: int, wei: int = MUCH) -> None:
        self.node.send(self.node.accounts[9], self.address(index), wei)

    def give_tokens(self, index: int, units: int = DOLLARS) -> None:
        self.contract.send("transfer(address,uint256)", self.address(index), units)

    def fund(self, wei: int = ETHER) -> None:
        self.node.send(self.node.accounts[8], self.fuel, wei)

    def deepen(self) -> None:
        self.node.mine(CONFIRMATIONS)

    async def planned(
        self, count: int, way: Way | None = None, asset: str | None = None, blocks: int = CONFIRMATIONS
    ) -> Planned:
        """Plan for the addresses from 0 to `count`, after some more blocks, which make all that they got final."""
        if blocks:
            self.node.mine(blocks)
        chain = EvmChain(self.rpc, tokens=[Address(self.contract.address.lower())])
        accepted = AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", CONFIRMATIONS, (COIN, self.token))
        addresses = [(index, self.address(index)) for index in range(count)]
        wallet = WalletAddresses(self.key.wallet_id, self.key.branch, addresses, self.fuel)
        planner = Planner(chain, Survey(self.rpc), accepted, wallet, FixedPrices(ETH=3000), THROWAWAY)
        return await planner.plan(PlanRequest(DESTINATION, asset, way))

    async def plan(
        self, count: int, way: Way | None = None, asset: str | None = None, blocks: int = CONFIRMATIONS
    ) -> Plan:
        planned = await self.planned(count, way, asset, blocks)
        assert planned.plan is not None
        return planned.plan

    async def send(self, plan: Plan, chain: Sending | None = None) -> SentPlan:
        return await self.sender(chain).send(signed(plan))

    def sender(self, chain: Sending | None = None) -> PlanSender:
        return PlanSender(chain or Sending(self.rpc), lambda: self.now, self.said.append, self.sleep)

    async def sleep(self, _seconds: float) -> None:
        """Instead of waiting, have the node make a block."""
        self.node.mine()

    def tokens(self, address: str) -> int:
        call = {"to": self.contract.address, "data": solidity.calldata("balanceOf(address)", address)}
        return int(self.node.rpc("eth_call", call, "latest"), 16)


def signed(plan: Plan) -> SignedPlan:
    """Sign, by way of the files that people carry about."""
    read = plan_file.read_plan(plan_file.plan_text(plan))
    signed = plan_file.read_signed(plan_file.signed_text(signing.sign(read, WORDS, "")))
    signing.verify(signed)
    return signed


@pytest.fixture(scope="module")
def started(
    anvil_path: Path, tmp_path_factory: pytest.TempPathFactory, solc: solidity.Compiler
) -> Iterator[tuple[Anvil, solidity.Contract]]:
    """One node with the Collector and a token, for all tests of this file."""
    with Anvil(anvil_path, tmp_path_factory.mktemp("collect")) as node:
        deploy_contracts(node)
        yield node, solidity.deploy(node, solc, "Token")


@pytest.fixture
async def owner(started: tuple[Anvil, solidity.Contract]) -> AsyncIterator[Owner]:
    """An owner on a chain as it was before the other tests."""
    node, token = started
    before = node.rpc("evm_snapshot")
    made = Owner(node, token)
    yield made
    await made.rpc.close()
    node.rpc("evm_revert", before)


@pytest.fixture
async def cancun_owner(anvil: Callable[..., Anvil], solc: solidity.Compiler) -> AsyncIterator[Owner]:
    """An owner on a chain without EIP-7702."""
    node = anvil(arguments=["--hardfork", "cancun"])
    deploy_contracts(node)
    made = Owner(node, solidity.deploy(node, solc, "Token"))
    yield made
    await made.rpc.close()


async def test_one_batch_empties_addresses_of_coin_and_tokens(owner: Owner) -> None:
    for index in range(3):
        owner.give(index)
    for index in range(2, 5):
        owner.give_tokens(index)
    owner.fund()

    plan = await owner.plan(6)
    sent = await owner.send(plan)

    assert plan.way is Way.EIP_7702
    assert (len(sent.moved), sent.not_moved) == (6, [])
    assert owner.node.balance(DESTINATION) == 3 * MUCH
    assert owner.tokens(DESTINATION) == 3 * DOLLARS
    assert len(sent.receipts) == 2, "the delegate's, and one batch"


async def test_an_address_that_delegates_is_emptied_again_without_a_signature_of_its_own(owner: Owner) -> None:
    owner.give(0)
    owner.fund()
    await owner.send(await owner.plan(1))
    assert owner.node.rpc("eth_getCode", owner.address(0), "latest") == delegation(delegate(DESTINATION).address)
    owner.give(0)

    plan = await owner.plan(1)
    await owner.send(plan)

    assert [each.nonce for each in plan.items] == [None]
    assert plan.deploy_gas is None
    assert owner.node.balance(DESTINATION) == 2 * MUCH


async def test_sent_again_it_moves_nothing_twice(owner: Owner) -> None:
    owner.give(0)
    owner.fund()
    plan = await owner.plan(1)
    first = await owner.send(plan)
    owner.give(0)

    second = await owner.send(plan)

    assert second.receipts == first.receipts
    assert owner.node.balance(DESTINATION) == MUCH


async def test_without_eip_7702_tokens_are_funded_and_coin_pays_for_all(cancun_owner: Owner) -> None:
    owner = cancun_owner
    owner.give(0)
    owner.give_tokens(0)
    owner.give_tokens(1)
    owner.give(2)
    owner.fund()

    planned = await owner.planned(3)
    assert planned.plan is not None
    sent = await owner.send(planned.plan)

    assert planned.plan.way is Way.TRANSFERS
    assert planned.without_batches == "accounts can't delegate there (EIP-7702)"
    assert [each.index for each in planned.plan.funding] == [1]
    assert (len(sent.moved), sent.not_moved) == (4, [])
    assert owner.tokens(DESTINATION) == 2 * DOLLARS
    coins = sum(each.units for each in sent.moved if each.asset.is_native)
    assert owner.node.balance(DESTINATION) == coins
    assert coins > 2 * MUCH - ETHER // 1000


async def test_what_is_not_worth_its_fee_stays_and_is_listed(owner: Owner) -> None:
    owner.give(0, 1000)
    owner.give_tokens(1, 1)
    owner.give(2)
    owner.fund()

    planned = await owner.planned(3)

    assert planned.plan is not None
    assert [each.index for each in planned.plan.items] == [2]
    assert {each.index: each.reason for each in planned.left_behind} == {0: draft.TOO_LITTLE, 1: draft.TOO_LITTLE}


async def test_only_what_is_deep_enough_is_planned(owner: Owner) -> None:
    owner.give(0)
    owner.deepen()
    owner.give(0)
    owner.give(1)

    plan = await owner.plan(2, blocks=0)

    assert [(each.index, each.units) for each in plan.items] == [(0, MUCH)]


async def test_an_address_that_delegates_elsewhere_is_left_alone(owner: Owner) -> None:
    owner.give(0)
    owner.give(1)
    owner.fund()
    owner.node.rpc("anvil_setCode", owner.address(0), delegation(Address("0x" + "aa" * 20)))

    planned = await owner.planned(2)

    assert planned.plan is not None
    assert [each.index for each in planned.plan.items] == [1]
    assert [each.reason for each in planned.left_behind] == [draft.FOREIGN_CODE]


async def test_without_the_collector_transfers_are_planned_and_the_way_to_it_is_told(owner: Owner) -> None:
    owner.give(0)
    owner.node.rpc("anvil_setCode", COLLECTOR.address, "0x")

    planned = await owner.planned(1)

    assert planned.plan is not None
    assert planned.plan.way is Way.TRANSFERS
    assert "collect setup" in str(planned.without_batches)
    with pytest.raises(CannotCollect, match="Collector"):
        await owner.planned(1, Way.EIP_7702)


async def test_only_one_asset_is_planned_if_asked_for(owner: Owner) -> None:
    owner.give(0)
    owner.give_tokens(0)

    plan = await owner.plan(1, asset="USDX")

    assert [each.asset.symbol for each in plan.items] == ["USDX"]


async def test_nothing_to_collect_makes_no_plan(owner: Owner) -> None:
    assert (await owner.planned(3)).plan is None


# --- sending ---------------------------------------------------------------------------------------------------------


async def test_without_fuel_nothing_is_sent_and_the_missing_amount_is_told(owner: Owner) -> None:
    owner.give(0)
    plan = await owner.plan(1)

    with pytest.raises(CannotSend, match=f"{checksum(owner.fuel)}, holds 0 wei.*{plan.fuel.units} wei more"):
        await owner.send(plan)

    assert owner.node.balance(DESTINATION) == 0


async def test_a_plan_is_not_sent_after_a_week_or_on_another_chain(owner: Owner) -> None:
    owner.give(0)
    owner.fund()
    plan = await owner.plan(1)
    owner.now += timedelta(days=7, minutes=5)

    with pytest.raises(CannotSend, match="7 days"):
        await owner.send(plan)
    owner.now -= timedelta(days=1)
    foreign = Plan(**{**_fields(plan), "block": type(plan.block)(1, "0x" + "77" * 32)})
    with pytest.raises(CannotSend, match="isn't on this chain"):
        await owner.send(foreign)


async def test_above_the_highest_fee_it_waits(owner: Owner) -> None:
    owner.give(0)
    owner.fund()
    plan = await owner.plan(1)
    owner.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(4 * plan.fees.per_gas))
    owner.node.mine()

    sent = await owner.send(plan)

    assert len(sent.moved) == 1
    assert "The chain's base fee is above the plan's highest: waiting until it falls." in owner.said


async def test_a_batch_that_would_move_less_than_planned_is_not_sent(owner: Owner) -> None:
    owner.give(0)
    owner.give(1)
    owner.fund()
    plan = await owner.plan(2)
    owner.node.rpc("anvil_setBalance", owner.address(1), "0x0")

    with pytest.raises(CannotSend, match="2 amounts would move 1"):
        await owner.send(plan)

    assert owner.node.balance(DESTINATION) == 0


@pytest.mark.parametrize("way", Way)
async def test_killed_between_any_two_calls_and_sent_again_it_moves_all_once(owner: Owner, way: Way) -> None:
    owner.give(0)
    owner.give_tokens(0)
    owner.give_tokens(1)
    owner.fund()
    plan = await owner.plan(2, way)
    at_start = owner.node.rpc("evm_snapshot")
    for calls in range(1, 200):
        try:
            await owner.send(plan, DyingSending(owner.rpc, calls))
        except Killed:
            pass
        else:
            break
        sent = await owner.send(plan)
        assert (len(sent.moved), sent.not_moved) == (3, [])
        assert owner.tokens(DESTINATION) == 2 * DOLLARS
        owner.node.rpc("evm_revert", at_start)
        at_start = owner.node.rpc("evm_snapshot")
    else:
        pytest.fail("it never came to an end")
    assert calls > 5


async def test_a_transfer_that_fails_now_keeps_no_other_address_waiting(owner: Owner) -> None:
    owner.give(0)
    owner.give_tokens(0)
    owner.give(1)
    owner.fund()
    plan = await owner.plan(2, Way.TRANSFERS)
    owner.node.rpc("anvil_setBalance", owner.address(0), "0x0")

    sent = await owner.send(plan)

    assert [each.index for each in sent.moved] == [1]
    assert [each.index for each in sent.not_moved] == [0, 0]
    assert any("index 0" in sentence for sentence in owner.said)


async def test_another_transaction_in_a_transfers_place_is_told_not_waited_for(owner: Owner) -> None:
    owner.give(0)
    owner.give(1)
    owner.fund()
    plan = await owner.plan(2, Way.TRANSFERS)
    owner.node.rpc("anvil_setNonce", owner.address(0), "0x1")

    sent = await owner.send(plan)

    assert [each.index for each in sent.moved] == [1]
    assert [each.index for each in sent.not_moved] == [0]
    assert any(checksum(owner.address(0)) in sentence for sentence in owner.said)


class Killed(Exception):
    """The process ends here."""


class DyingSending(Sending):
    """Dies at one of its calls: before it, or after it for every second one."""

    def __init__(self, rpc: Rpc, calls: int) -> None:
        super().__init__(rpc)
        self._left = calls

    async def receipts(self, hashes: Any) -> Any:
        return await self._count(super().receipts(hashes))

    async def nonces(self, addresses: Any) -> Any:
        return await self._count(super().nonces(addresses))

    async def broadcast(self, signed: SignedTransaction) -> None:
        await self._count(super().broadcast(signed))

    async def _count(self, call: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            call.close()
            raise Killed
        answer = await call
        self._left -= 1
        if self._left == 0:
            raise Killed
        return answer


def _fields(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in plan.__slots__}

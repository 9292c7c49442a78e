"""Whatever happens on a chain and to the server, in any order: the ledger says what the chain says, wei for wei."""

import asyncio
import tempfile
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.shapes import SessionResource
from tests.anvil import Anvil
from tests.faults import Faults, faulty
from tests.shop import FRESH_XPUB, Shop, open_shop
from tests.solidity import Compiler, Contract, deploy
from tests.test_tokens import token
from tests.truth import Truth, compare

MOST_SECONDS = 3000
"""Sessions wait for 900 s and an hour of grace, and are compared for an hour more."""

units = st.integers(1, 10**18)
places = st.integers(0, 50)


class Life(RuleBasedStateMachine):
    """A shop, its chain, and everything that can happen to both."""

    anvil_path: Path
    solc: Compiler

    def __init__(self) -> None:
        super().__init__()
        self.things = ExitStack()
        self.runner = self.things.enter_context(asyncio.Runner())
        self.folder = Path(self.things.enter_context(tempfile.TemporaryDirectory()))
        (self.folder / "node").mkdir()
        self.node = self.things.enter_context(Anvil(self.anvil_path, self.folder / "node", mining="manual"))
        self.opened = AsyncExitStack()
        self.proxy = AsyncExitStack()
        self.sessions: list[SessionResource] = []
        self.swept: set[str] = set()
        self.seconds = 0
        self.mined = 0

    @initialize(seed=st.integers(0, 2**16))
    def open(self, seed: int) -> None:
        self.usdc: Contract = deploy(self.node, self.solc, "Token")
        self.payer: Contract = deploy(self.node, self.solc, "Payer", wei=1000 * 10**18)
        front, self.faults = self.run(self.proxy.enter_async_context(faulty(self.node.url, seed, 0)))
        self.url = front.url
        self.start_shop()
        self.truth = Truth(self.node, self.node.block_number(), self.usdc.address)
        self.ask(asset="ETH")
        self.ask(asset="USDC")

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def start_shop(self) -> None:
        self.opened = AsyncExitStack()
        self.shop: Shop = self.run(
            self.opened.enter_async_context(
                open_shop(self.folder, [self.url], xpub=FRESH_XPUB, tokens=[token(self.usdc)], timeout_seconds=0.3)
            )
        )

    def session(self, place: int) -> SessionResource:
        return self.sessions[place % len(self.sessions)]

    @precondition(lambda self: len(self.sessions) < 6)
    @rule(asset=st.sampled_from(["ETH", "USDC"]))
    def ask(self, asset: str) -> None:
        self.sessions.append(self.run(self.shop.ask(asset=asset)))

    @rule(place=places, wei=units)
    def pay(self, place: int, wei: int) -> None:
        self.node.send(self.node.accounts[9], self.session(place)["address"], wei)

    @rule(place=places, wei=units)
    def pay_by_contract(self, place: int, wei: int) -> None:
        session = self.session(place)
        if session["asset"] == "ETH":
            self.payer.send("payAll(address[],uint256[])", [session["address"]], [wei])

    @rule(places=st.lists(places, min_size=1, max_size=4), wei=units)
    def split_among(self, places: list[int], wei: int) -> None:
        receivers = [s["address"] for s in map(self.session, places) if s["asset"] == "ETH"]
        if receivers:
            self.payer.send("split(address[])", receivers, wei=wei * len(receivers))

    @rule(place=places, wei=units)
    def pay_and_take_back(self, place: int, wei: int) -> None:
        self.payer.send("payAndTakeBack(address,uint256)", self.session(place)["address"], wei)
        self.payer.send("payAndRevert(address,uint256)", self.session(place)["address"], wei)

    @rule(place=places, wei=units)
    def pay_by_an_end(self, place: int, wei: int) -> None:
        if self.session(place)["asset"] == "ETH":
            ending = deploy(self.node, self.solc, "Payer", wei=wei)
            self.mined += 1
            ending.send("end(address)", self.session(place)["address"])

    @rule(place=places, amount=st.integers(1, 10**9))
    def pay_tokens(self, place: int, amount: int) -> None:
        self.usdc.send("transfer(address,uint256)", self.session(place)["address"], amount)

    @rule(place=places)
    def sweep(self, place: int) -> None:
        """Let the merchant send half of it away."""
        address = self.session(place)["address"]
        held = self.node.balance(address)
        if held > 10**17:
            self.node.rpc("anvil_impersonateAccount", address)
            self.node.send(address, self.node.accounts[8], held // 2)

    @rule(blocks=st.integers(1, 4))
    def mine(self, blocks: int) -> None:
        self.node.mine(blocks)
        self.mined += blocks

    @rule(blocks=st.integers(8, 25))
    def mine_many(self, blocks: int) -> None:
        self.node.mine(blocks)
        self.mined += blocks

    @precondition(lambda self: self.mined > 1)
    @rule(depth=st.integers(1, 12))
    def reorganise(self, depth: int) -> None:
        self.node.mine()  # what still waits would be stuck behind what is undone
        self.mined += 1
        self.node.rpc("anvil_reorg", min(depth, self.mined - 1), [])

    @precondition(lambda self: self.seconds < MOST_SECONDS)
    @rule(seconds=st.integers(1, 1000))
    def wait(self, seconds: int) -> None:
        self.seconds += seconds
        self.node.rpc("evm_increaseTime", seconds)

    @rule()
    def process_one_batch(self) -> None:
        self.run(_turn(self.shop))

    @rule()
    def process(self) -> None:
        while self.run(_turn(self.shop)):
            pass

    @rule(chance=st.sampled_from([0.3, 0.6]))
    def process_with_faults(self, chance: float) -> None:
        faults: Faults = self.faults
        faults.chance = chance
        for _ in range(3):
            self.run(_turn(self.shop))
        faults.chance = 0

    @rule()
    def restart(self) -> None:
        self.run(self.opened.aclose())
        self.start_shop()

    @rule()
    def forget(self) -> None:
        self.shop.restart()

    @invariant()
    def the_ledger_is_what_the_chain_says(self) -> None:
        if self.sessions:
            self.run(compare(self.shop, self.truth, self.sessions))

    def teardown(self) -> None:
        try:
            if self.sessions:
                self.process()
                self.node.mine()
                self.process()
                assert self.run(compare(self.shop, self.truth, self.sessions)), "the cursor is on the chain"
                assert self.run(self.shop.processed()) == self.node.block_number()
        finally:
            self.run(self.opened.aclose())
            self.run(self.proxy.aclose())
            self.things.close()


async def _turn(shop: Shop) -> bool:
    try:
        return await shop.watcher.turn()
    except RecoverableError:
        return False


@pytest.mark.anvil
def test_the_ledger_says_what_the_chain_says_whatever_happens_in_whatever_order(
    anvil_path: Path, solc: Compiler
) -> None:
    machine = type("OnThisNode", (Life,), {"anvil_path": anvil_path, "solc": solc})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )

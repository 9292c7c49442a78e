"""Whatever happens on a chain and to the server, in any order: the ledger says what the chain says, wei for wei.

Before a real node, which is slow; `tests.support.profile` says how to have it run for long.
`tests.services.ledger.test_properties_sandbox` is the same on the simulated chain, with the chain's changes and
failures between any two questions.
"""

import asyncio
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.public.types import SessionResource
from tests.services.ledger.test_tokens import token
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, collect_sessions, deploy_contracts
from tests.support.faulty_provider import faulty
from tests.support.profile import live
from tests.support.shop import FRESH_XPUB, Shop, open_shop
from tests.support.solidity import Compiler, Contract, deploy
from tests.support.truth import Truth
from tests.support.waiting import wait_until

MOST_SECONDS = 3000
"""Sessions wait for 900 s and an hour of grace, and are compared for an hour more."""

units = st.integers(1, 10**18)
places = st.integers(0, 50)


class Life(RuleBasedStateMachine):
    """A shop with two providers, its chain, and everything that can happen to them."""

    anvil_path: Path
    solc: Compiler
    steps: ClassVar[Counter[str]] = Counter()
    faults_seen: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.things = ExitStack()
        self.runner = self.things.enter_context(asyncio.Runner())
        self.folder = Path(self.things.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        (self.folder / "node").mkdir()
        self.node = self.things.enter_context(Anvil(self.anvil_path, self.folder / "node", mining="manual"))
        self.opened = AsyncExitStack()
        self.proxy = AsyncExitStack()
        self.sessions: list[SessionResource] = []
        self.seconds = 0
        self.mined = 0

    @initialize(seed=st.integers(0, 2**16), confirm_with=st.sampled_from([1, 2]), has_keys=st.booleans())
    def open(self, seed: int, confirm_with: int, has_keys: bool) -> None:
        """Begin, with addresses of keys, or with deposits of a cold address."""
        self.confirm_with = confirm_with
        self.has_keys = has_keys
        deploy_contracts(self.node)
        self.usdc: Contract = deploy(self.node, self.solc, "Token")
        self.taxed: Contract = deploy(self.node, self.solc, "TaxedToken")
        self.fake: Contract = deploy(self.node, self.solc, "Token")
        self.payer: Contract = deploy(self.node, self.solc, "Payer", wei=1000 * 10**18)
        self.urls, self.faults = [], []
        for place in range(2):
            front, faults = self.run(self.proxy.enter_async_context(faulty(self.node.url, seed + place, 0)))
            self.urls.append(front.url)
            self.faults.append(faults)
        self.start_shop()
        tokens = {"USDC": self.usdc.address, "TAX": self.taxed.address}
        self.truth = Truth(self.node, self.shop.path, self.node.block_number(), tokens)
        for asset in ("ETH", "USDC", "TAX"):
            self.ask(asset=asset)

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def start_shop(self) -> None:
        self.opened = AsyncExitStack()
        self.shop: Shop = self.run(
            self.opened.enter_async_context(
                open_shop(
                    self.folder,
                    self.urls,
                    xpub=FRESH_XPUB,
                    wallet=None if self.has_keys else Deposits(COLD),
                    tokens=[token(self.usdc), token(self.taxed, "TAX")],
                    timeout_seconds=1,
                    confirm_with=self.confirm_with,
                )
            )
        )

    def session(self, place: int) -> SessionResource:
        return self.sessions[place % len(self.sessions)]

    @precondition(lambda self: len(self.sessions) < 6)
    @rule(asset=st.sampled_from(["ETH", "USDC", "TAX"]))
    def ask(self, asset: str) -> None:
        self.sessions.append(self.run(self.shop.ask(asset=asset)))

    @rule(place=places, wei=units)
    def pay(self, place: int, wei: int) -> None:
        self.node.send(self.node.accounts[9], self.session(place)["address"], wei)

    @rule(place=places, wei=units)
    def pay_by_contract(self, place: int, wei: int) -> None:
        self.payer.send("payAll(address[],uint256[])", [self.session(place)["address"]], [wei])

    @rule(places=st.lists(places, min_size=1, max_size=4), wei=units)
    def split_among(self, places: list[int], wei: int) -> None:
        receivers = [session["address"] for session in map(self.session, places)]
        self.payer.send("split(address[])", receivers, wei=wei * len(receivers))

    @rule(place=places, wei=units)
    def pay_and_take_back(self, place: int, wei: int) -> None:
        self.payer.send("payAndTakeBack(address,uint256)", self.session(place)["address"], wei)
        self.payer.send("payAndRevert(address,uint256)", self.session(place)["address"], wei)

    @rule(place=places, wei=units)
    def pay_by_an_end(self, place: int, wei: int) -> None:
        ending = deploy(self.node, self.solc, "Payer", wei=wei)
        self.mined += 1
        ending.send("end(address)", self.session(place)["address"])

    @rule(place=places, amount=st.integers(1, 10**9), which=st.sampled_from(["usdc", "taxed", "fake"]))
    def pay_tokens(self, place: int, amount: int, which: str) -> None:
        """Send a token: the right one, one that keeps a part, or one that only says that it is the right one."""
        contract: Contract = getattr(self, which)
        contract.send("transfer(address,uint256)", self.session(place)["address"], amount)

    @rule(places=st.lists(places, min_size=1, max_size=4), amount=st.integers(1, 10**6))
    def pay_tokens_in_one_transaction(self, places: list[int], amount: int) -> None:
        self.usdc.send("transfer(address,uint256)", self.payer.address, amount * len(places))
        receivers = [self.session(place)["address"] for place in places]
        self.payer.send("sendTokens(address,address[],uint256[])", self.usdc.address, receivers, [amount] * len(places))

    @rule(place=places, wei=units)
    def earn(self, place: int, wei: int) -> None:
        """Give the tips of a block to an address, as to the one who proposes it."""
        address = self.session(place)["address"]
        self.node.rpc("anvil_setCoinbase", address)
        self.node.send(self.node.accounts[9], self.node.accounts[7], wei)
        self.node.mine()
        self.mined += 1
        self.node.rpc("anvil_setCoinbase", "0x" + "00" * 20)

    @precondition(lambda self: not self.has_keys)
    @rule(places=st.lists(places, min_size=1, max_size=4), which=st.sampled_from(["coin", "coin", "usdc", "taxed"]))
    def collect(self, places: list[int], which: str) -> None:
        """Let a stranger collect from some addresses, from one of them perhaps twice."""
        token = COIN if which == "coin" else getattr(self, which).address
        collect_sessions(self.node, [self.session(place) for place in places], token)

    @precondition(lambda self: self.has_keys)
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
    @rule(depth=st.one_of(st.integers(1, 12), st.integers(1, 200)), again=st.booleans())
    def reorganise(self, depth: int, again: bool) -> None:
        """Replace blocks; some of their transactions are mined again, each in another one."""
        self.node.mine()  # what still waits would be stuck behind what is undone
        self.mined += 1
        depth = min(depth, self.mined - 1)
        self.node.rpc("anvil_reorg", depth, self.same_transactions(depth) if again else [])

    def same_transactions(self, depth: int) -> list[list[Any]]:
        """Return the first transactions of those blocks in their order, each with a place among the new ones."""
        newest = self.node.block_number()
        found = [
            tx for number in range(newest - depth + 1, newest + 1) for tx in self.truth.block(number)["transactions"]
        ]
        raw = [
            self.node.rpc("eth_getRawTransactionByHash", tx["hash"]) for tx in found if tx["from"] in self.node.accounts
        ]
        return [[each, depth - 1] for each in raw[:3]]

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

    @rule(chances=st.tuples(*2 * [st.sampled_from([0.0, 0.3, 0.6])]), lies=st.booleans())
    def process_with_faults(self, chances: tuple[float, float], lies: bool) -> None:
        """Fail in all ways; where two providers have to agree, one of them also lies about what somebody holds."""
        for faults, chance in zip(self.faults, chances, strict=True):
            faults.chance = chance
        self.faults[0].inflates = lies and self.confirm_with > 1
        for _ in range(3):
            self.run(_turn(self.shop))
        for faults in self.faults:
            faults.chance, faults.inflates = 0, False
            self.faults_seen.update(faults.seen)

    @rule(deaf=st.integers(0, 1))
    def process_while_one_is_down(self, deaf: int) -> None:
        self.faults[deaf].is_down = True
        self.run(_turn(self.shop))
        self.faults[deaf].is_down = False

    @rule()
    def restart(self) -> None:
        self.run(self.opened.aclose())
        self.start_shop()

    @rule()
    def forget(self) -> None:
        self.shop.restart()

    def check_invariants(self, *arguments: Any, **named: Any) -> None:
        self.steps["all"] += 1
        super().check_invariants(*arguments, **named)

    @invariant()
    def the_ledger_is_what_the_chain_says(self) -> None:
        if self.sessions:
            self.truth.matches(self.sessions)

    def catch_up(self) -> None:
        """Process everything; on a busy machine an honest node may need a few turns, too, and rests in between."""
        wait_until(self.has_caught_up, "process everything")

    def has_caught_up(self) -> bool:
        self.process()
        return bool(self.run(self.shop.processed()) == self.node.block_number())

    def teardown(self) -> None:
        try:
            if self.sessions:
                self.process()
                self.node.mine()
                self.catch_up()
                assert self.truth.matches(self.sessions), "the cursor is on the chain"
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
    live(machine, examples=8, steps=25)
    print(f"{Life.steps['all']} steps; {sorted(Life.faults_seen)}")  # noqa: T201

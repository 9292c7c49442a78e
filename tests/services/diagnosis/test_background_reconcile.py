"""A difference between ledger and chain is found without a question, is an issue, and goes when it is mended."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from crypto_checkout.chain.rpc.meter import Meter
from crypto_checkout.core.alerts.issues import Issue, IssueKind
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.diagnosis.background_reconcile import BackgroundReconcile, ReconciledChain
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.ledger import differences
from tests.support.anvil import Anvil
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, ETH, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay

Nodes = Callable[..., Anvil]
ANVIL = AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", CONFIRMATIONS, (ETH,))


@dataclass
class Compared:
    """A shop with its comparison."""

    node: Anvil
    shop: Shop
    meter: Meter

    @property
    def loop(self) -> BackgroundReconcile:
        """As after a start: nothing is in memory."""
        return BackgroundReconcile(self.shop.db, [ReconciledChain(self.shop.chain, ANVIL, self.shop.watcher)])

    async def turn(self) -> list[Issue]:
        """Compare at a block of its own; return the issues."""
        self.node.mine()
        await self.shop.process()
        await self.loop.turn()
        found = await Issues(self.shop.db, {}, [ANVIL]).gather(livemode=True)
        return [each for each in found.issues if each.kind is IssueKind.DIFFERENCE]

    async def paid(self) -> SessionResource:
        session = await self.shop.ask()
        pay(self.node, session)
        self.node.mine(CONFIRMATIONS)
        await self.shop.process()
        return session

    async def credit(self, session: SessionResource, units: int, *, canonical: int = 1) -> None:
        """Change by hand what is recorded of a session's only payment."""

        def change(unit: WriteUnit) -> None:
            sql = "UPDATE payments SET units = :units, canonical = :canonical WHERE session_id = :id"
            assert unit.run(sql, {"id": session["id"], "units": str(units), "canonical": canonical}) == 1

        await self.shop.db.write(change)


@asynccontextmanager
async def compared(anvil: Nodes, folder: Path) -> AsyncIterator[Compared]:
    node = anvil(mining="manual")
    async with open_shop(folder, [node.url], xpub=FRESH_XPUB) as shop:
        yield Compared(node, shop, shop.chain._rpc.meter)


async def test_a_difference_counts_at_the_second_block_and_goes_when_it_is_mended(anvil: Nodes, tmp_path: Path) -> None:
    async with compared(anvil, tmp_path) as at:
        session, other = await at.paid(), await at.paid()
        assert await at.turn() == []
        await at.credit(session, 3 * ONE_COIN // 2)
        assert await at.turn() == [], "nodes lie about their newest block"
        await at.loop.turn()  # the same block once more is no second witness
        (issue,) = await at.turn()
        assert (issue.subject_id, issue.path) == (session["id"], f"/payments/{session['id']}")
        assert issue.words == f"Anvil shows 0.5 ETH less at {session['address']} than was credited."
        assert "before you deliver" in issue.advice
        assert [each.cause for each in await at.turn()] == [issue.cause], "told once"
        await at.credit(session, ONE_COIN)
        await at.credit(other, ONE_COIN, canonical=0)
        assert await at.turn() == []
        (issue,) = await at.turn()
        assert issue.words == f"Anvil shows 1 ETH more at {other['address']} than was credited."


async def test_what_was_swept_is_no_difference_and_costs_few_questions(anvil: Nodes, tmp_path: Path) -> None:
    async with compared(anvil, tmp_path) as at:
        sessions = [await at.paid() for _ in range(8)]
        for session in sessions:
            at.node.rpc("anvil_impersonateAccount", session["address"])
            at.node.send(session["address"], at.node.accounts[0], ONE_COIN // 2)
        for _ in range(3):
            assert await at.turn() == []
        at.meter.take()
        await at.loop.turn()
        (used,) = at.meter.take().values()
        assert used.calls <= 1 + 4, "the balances, and the nonces of some"


async def test_all_are_compared_in_turn_and_the_place_survives_a_restart(anvil: Nodes, tmp_path: Path) -> None:
    async with compared(anvil, tmp_path) as at:
        first = await at.paid()
        for _ in range(44):
            await at.shop.ask()
        last = await at.paid()
        places = []
        for _ in range(4):
            await at.turn()
            places.append(await at.shop.db.read(lambda unit: differences.progress(unit, ANVIL_CHAIN_ID)))
        assert [place.session_seq for place in places if place] == [20, 40, 0, 20]
        await at.credit(last, 2 * ONE_COIN)
        await at.credit(first, 2 * ONE_COIN)
        found = [{each.subject_id for each in await at.turn()} for _ in range(6)]
        assert found[-1] == {first["id"], last["id"]}


async def test_a_chain_that_is_not_followed_closely_is_left_alone(anvil: Nodes, tmp_path: Path) -> None:
    async with compared(anvil, tmp_path) as at:
        session = await at.paid()
        await at.turn()
        await at.credit(session, 2 * ONE_COIN)
        at.node.stop()
        await at.loop.turn()  # the chain can't be read: nothing is said of it
        at.node.start_again()
        at.shop.restart()  # nothing is known of the chain's head
        await at.loop.turn()
        rows = await at.shop.db.read(lambda unit: differences.suspects(unit, ANVIL_CHAIN_ID, 10))
        assert rows == []
        for _ in range(2):
            await at.turn()
        rows = await at.shop.db.read(lambda unit: differences.suspects(unit, ANVIL_CHAIN_ID, 10))
        assert rows == [session["id"]]

"""Credits are on the chain or were swept, and differences are listed: on a real node, with real sweeps."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.diagnosis import reconcile as service
from crypto_checkout.services.diagnosis.reconcile import ChainComparison, Reconciliation
from tests.services.ledger.test_tokens import PRICE, token
from tests.support.anvil import Anvil
from tests.support.nodes import Error, forwarding, running
from tests.support.server import Server, command
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, ETH, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, Contract, deploy, move_tokens

Nodes = Callable[..., Anvil]


async def compare(shop: Shop, *tokens: Any) -> ChainComparison:
    accepted = AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", CONFIRMATIONS, (ETH, *tokens))
    (found,) = await Reconciliation(shop.db, [(shop.chain, accepted)], livemode=True, progress=lambda *_: None).run()
    assert found.problem is None, found.problem
    return found


def differences(found: ChainComparison) -> list[tuple[str, str, int]]:
    return [(each.address, each.asset.symbol, each.difference) for each in found.differing]


def sweep(node: Anvil, address: str, to: str, wei: int) -> None:
    """Send from an address as the merchant's wallet does."""
    node.rpc("anvil_impersonateAccount", address)
    node.send(address, to, wei)


def sweep_tokens(contract: Contract, address: str, to: str, units: int) -> None:
    move_tokens(contract, address, to, units)


async def test_native_internal_and_token_payments_add_up_before_and_after_sweeps(
    anvil: Nodes, solc: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAGE", 2)
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer", wei=ONE_COIN)
    safe = node.accounts[5]
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop:
        assert (await compare(shop)).addresses == 0
        plain, inside, short = await shop.ask(), await shop.ask(), await shop.ask()
        in_usdc, unpaid = await shop.ask(PRICE, asset="USDC"), await shop.ask()
        pay(node, plain)
        pay(node, short, ONE_COIN // 2)
        payer.send("payAll(address[],uint256[])", [inside["address"]], [ONE_COIN // 4])
        usdc.send("transfer(address,uint256)", in_usdc["address"], 100 * 10**6)
        usdc.send("transfer(address,uint256)", unpaid["address"], 7)  # unmatched counts too
        pay(node, in_usdc, ONE_COIN // 10)
        node.mine(CONFIRMATIONS)
        await shop.process()
        found = await compare(shop, token(usdc))
        assert (found.addresses, found.accounts) == (5, 10)
        assert differences(found) == []
        for _ in range(2):
            sweep(node, plain["address"], safe, ONE_COIN // 3)
            node.mine(20)
        sweep(node, inside["address"], safe, ONE_COIN // 8)
        node.mine(5)  # a block with an impersonated account's transaction can't be proven
        sweep_tokens(usdc, in_usdc["address"], safe, 60 * 10**6)
        node.mine(5)
        sweep_tokens(usdc, in_usdc["address"], safe, 40 * 10**6)
        node.mine(5)
        assert differences(await compare(shop, token(usdc))) == [], "both sides are of the last processed block"
        await shop.process()
        found = await compare(shop, token(usdc))
        assert differences(found) == []
        assert found.unproven == ()
        assert found.block is not None
        assert found.block.number == await shop.processed()
        assert node.balance(plain["address"]) < ONE_COIN // 2


async def test_a_tampered_ledger_and_money_that_nobody_saw_are_listed_with_both_figures(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop:
        tampered, fine, in_usdc = await shop.ask(), await shop.ask(), await shop.ask(PRICE, asset="USDC")
        pay(node, tampered)
        pay(node, fine)
        node.mine(CONFIRMATIONS)
        await shop.process()
        # What contracts send to the address of an old session is noticed in the slower round only.
        node.rpc("evm_increaseTime", 900 + 3 * 3600)
        node.mine()
        await shop.process()
        payer.send("payAll(address[],uint256[])", [in_usdc["address"]], [ONE_COIN // 4])
        node.mine(CONFIRMATIONS)
        await shop.process()
        await shop.db.write(
            lambda unit: unit.run(
                "UPDATE payments SET units = :more WHERE session_id = :id",
                {"more": str(ONE_COIN + 5), "id": tampered["id"]},
            )
        )
        found = await compare(shop, token(usdc))
        assert sorted(differences(found)) == sorted(
            [(tampered["address"].lower(), "ETH", -5), (in_usdc["address"].lower(), "ETH", ONE_COIN // 4)]
        )
        by_address = {each.address: each for each in found.differing}
        account = by_address[Address(in_usdc["address"].lower())]
        assert (account.credited, account.balance, account.swept) == (0, ONE_COIN // 4, 0)


async def test_a_sweep_before_outflows_were_recorded_is_unproven_where_a_node_has_forgotten_it(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    forgotten: dict[str, Any] = {}
    async with (
        running(forwarding(node.url, forgotten)) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop,
    ):
        session = await shop.ask()
        pay(node, session)
        node.mine(CONFIRMATIONS)
        sweep(node, session["address"], node.accounts[5], ONE_COIN // 2)
        node.mine(5)
        await shop.process()
        newest = hex(await shop.processed())
        forgotten["eth_getTransactionCount"] = lambda _, block: "0x1" if block == newest else Error("missing trie node")
        found = await compare(shop)
        assert (differences(found), found.unproven) == ([], ()), "its outflow is recorded"
        await shop.db.write(lambda unit: unit.run("DELETE FROM outflows"))
        found = await compare(shop)
        assert differences(found) == []
        (account,) = found.unproven
        assert (account.swept, account.has_sent) == (None, True)


async def test_a_node_that_takes_small_ranges_only_is_asked_in_small_ranges(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    taken: list[int] = []

    def logs(wanted: dict[str, Any]) -> Any:
        if "fromBlock" in wanted:
            size = int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1
            if size > 100:
                return Error("range too large")
            taken.append(size)
        return node.rpc("eth_getLogs", wanted)

    async with (
        running(forwarding(node.url, {"eth_getLogs": logs})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop,
    ):
        session = await shop.ask(PRICE, asset="USDC")
        usdc.send("transfer(address,uint256)", session["address"], 100 * 10**6)
        pay(node, session, ONE_COIN // 10)
        node.mine(300)
        sweep_tokens(usdc, session["address"], node.accounts[5], 100 * 10**6)
        node.mine(10)
        await shop.process()
        assert differences(await compare(shop, token(usdc))) == []
        assert len(taken) > 3


def test_the_command_compares_beside_the_running_server_and_its_exit_code_tells(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    chain = f'[[chains]]\nid = {ANVIL_CHAIN_ID}\nname = "Anvil"\nrpc_urls = ["{node.url}"]\npoll_seconds = 0.05\n'
    fixed = '[prices]\nfixed = {"ETH/USD" = "3000"}\n'
    with Server(tmp_path, f'[wallet]\nxpub = "{FRESH_XPUB}"\n{fixed}{chain}') as server:
        made = command(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json")
        api = server.client(json.loads(made.stdout)["key"])
        price = {"amount": {"value": "3000.00", "currency": "USD"}}
        server.wait_until(lambda: api.post("/checkout_sessions", json=price).status_code == 201, "sell")
        session = api.post("/checkout_sessions", json=price).json()
        pay(node, session)
        node.mine(3)
        server.wait_until(
            lambda: api.get(f"/checkout_sessions/{session['id']}").json()["status"] == "paid", "see the payment"
        )
        good = command(tmp_path, "reconcile")
        assert (good.returncode, good.stderr) == (0, "Anvil: 2 of 2 addresses\n")
        assert "2 addresses, 2 balances: all adds up." in good.stdout
        database = sqlite3.connect(tmp_path / "checkout-data" / "checkout.db")
        with database:
            database.execute("UPDATE payments SET units = '2' || units")
        database.close()
        bad = command(tmp_path, "reconcile")
        assert bad.returncode == 1
        assert "2 ETH less than credited" not in bad.stdout
        assert f"{session['address']} ({session['id']}): 20 ETH less than credited" in bad.stdout
        assert f"address number {session['addressIndex']} ({session['addressPath']})" in bad.stdout
        assert "credited 21 ETH, on the chain 1 ETH, swept 0 ETH" in bad.stdout
        told = json.loads(command(tmp_path, "reconcile", "--json").stdout)
        (difference,) = told["chains"][0]["differences"]
        assert (difference["credited"], difference["balance"]) == (str(21 * ONE_COIN), str(ONE_COIN))
    node.stop()
    out = command(tmp_path, "reconcile")
    assert out.returncode == 2
    assert "could not be compared" in out.stdout


def test_test_mode_is_compared_with_its_simulated_chain(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        for scenario in ("exact", "internal", "wrong_token", "two_in_one_tx", "reorged_after_paid", "overpaid"):
            made = server.api.post("/checkout_sessions", json={"amount": {"value": "30.00", "currency": "USD"}}).json()
            server.api.post(f"/test_helpers/checkout_sessions/{made['id']}/pay", json={"scenario": scenario})
        good = command(tmp_path, "reconcile", "--mode", "test")
        assert good.returncode == 0, good.stdout + good.stderr
        assert "6 addresses, 12 balances: all adds up." in good.stdout
        nothing = command(tmp_path, "reconcile")
        assert (nothing.returncode, "nothing to compare" in nothing.stdout) == (0, True)
        assert "--mode test compares the simulated chain" in nothing.stdout

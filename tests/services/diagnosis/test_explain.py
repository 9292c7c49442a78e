"""Explanations of why a payment counted or didn't, from the ledger and a real chain together."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.diagnosis.explanation import Explanation, PaymentOutcome, Reason
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.diagnosis.explain import ConfiguredChain, Explainer, UnknownSubject
from tests.services.ledger.test_tokens import PRICE, token
from tests.support.anvil import Anvil
from tests.support.nodes import Error, answering, forwarding, running
from tests.support.server import Server, command
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, ETH, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]
HOUR = 3600


def explaining(shop: Shop, *tokens: Any) -> Explainer:
    accepted = AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", CONFIRMATIONS, (ETH, *tokens))
    return Explainer(shop.db, {ANVIL_CHAIN_ID: ConfiguredChain(shop.chain, accepted)})


def verdict(explained: Explanation) -> tuple[PaymentOutcome, Reason]:
    return explained.outcome, explained.reason


def facts(explained: Explanation) -> dict[str, str]:
    return {name: value for step in explained.steps for name, value in step.facts}


async def test_a_payment_that_counted_is_explained_with_its_evidence_in_order(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        tx_hash = pay(node, session)
        node.mine()
        await shop.process()
        waiting = await explaining(shop).of(tx_hash)
        assert verdict(waiting) == (PaymentOutcome.WAITING, Reason.CONFIRMATIONS)
        assert "1 of 3 confirmations, 2 more to come" in waiting.headline
        node.mine(CONFIRMATIONS - 1)
        await shop.process()
        block = node.rpc("eth_getBlockByNumber", hex(1), False)
        for subject in (tx_hash, session["id"], session["address"]):
            explained = await explaining(shop).of(subject)
            assert verdict(explained) == (PaymentOutcome.COUNTED, Reason.ON_TIME), subject
            assert explained.headline.startswith(("Counted: 1 ETH on time, 3", "Paid: 1 ETH received on time; 3"))
            assert explained.sessions == (session["id"],)
            assert facts(explained)["block"] == f"1 {block['hash']}"
            assert facts(explained)["transaction"] == tx_hash
        whole = await explaining(shop).session(session["id"])
        assert [step.what for step in whole.steps] == [
            "Session created.",
            "1 ETH received (native).",
            "Confirming.",
            "Paid.",
            "Now",
        ]
        shown = facts(whole)
        assert shown["rate"] == "3000 USD for one ETH, from fixed"
        assert shown["tolerance"] == "0.999 to 1.05 ETH is paid"
        assert shown["window"].startswith("on time: ")


async def test_what_no_block_has_yet_waits_and_what_nobody_knows_is_unknown(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        tx_hash = pay(node, session)
        assert verdict(await explaining(shop).of(tx_hash)) == (PaymentOutcome.WAITING, Reason.NOT_MINED)
        node.mine()
        unprocessed = await explaining(shop).of(tx_hash)
        assert verdict(unprocessed) == (PaymentOutcome.WAITING, Reason.NOT_PROCESSED)
        assert unprocessed.sessions == (session["id"],)
        assert verdict(await explaining(shop).of("0x" + "ab" * 32)) == (PaymentOutcome.UNKNOWN, Reason.NOT_FOUND)
        stranger = await explaining(shop).of(node.accounts[3])
        assert verdict(stranger) == (PaymentOutcome.UNKNOWN, Reason.NOT_OURS)
        assert verdict(await explaining(shop).of("cs_nobody")) == (PaymentOutcome.UNKNOWN, Reason.NOT_FOUND)
        for nonsense in ("hello", "0x12", "", "pl_123"):
            with pytest.raises(UnknownSubject, match="nothing to explain"):
                await explaining(shop).of(nonsense)


async def test_without_a_node_the_ledger_still_explains_and_says_who_could_not_be_asked(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        tx_hash = pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        node.stop()
        explained = await explaining(shop).of(tx_hash)
        assert verdict(explained) == (PaymentOutcome.COUNTED, Reason.ON_TIME)
        assert "Anvil (chain 31337) could not be asked." in [step.what for step in explained.steps]
        unknown = await explaining(shop).of("0x" + "ab" * 32)
        assert verdict(unknown) == (PaymentOutcome.UNKNOWN, Reason.NOT_ASKED)


async def test_a_payment_after_the_window_says_by_how_much_and_that_it_can_be_accepted(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask(expires_in_seconds=60)
        node.rpc("evm_increaseTime", HOUR + 60 + 12 * 60 + 5)
        tx_hash = pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        late = await explaining(shop).of(tx_hash)
        assert verdict(late) == (PaymentOutcome.NOT_COUNTED, Reason.TOO_LATE)
        assert "1 ETH arrived 12 minutes" in late.headline
        assert "after the grace period ended" in late.headline
        assert late.advice_line == f"You can accept it: crypto-checkout sessions accept {session['id']}"
        assert verdict(await explaining(shop).of(session["id"])) == (PaymentOutcome.NOT_COUNTED, Reason.TOO_LATE)


async def test_a_payment_that_a_reorg_took_back_says_so_and_counts_again_when_it_is_back(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        tx_hash = pay(node, session)
        node.mine(CONFIRMATIONS)
        await shop.process()
        node.rpc("anvil_reorg", CONFIRMATIONS, [])
        await shop.process()
        gone = await explaining(shop).of(tx_hash)
        assert gone.outcome is not PaymentOutcome.COUNTED
        failed = await explaining(shop).of(session["id"])
        assert verdict(failed) == (PaymentOutcome.NOT_COUNTED, Reason.REORGED)
        assert "Reversed by the network." in [s.what for s in failed.steps]


async def test_tokens_that_nobody_asked_for_and_fake_ones_are_told_apart(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, fake = deploy(node, solc, "Token"), deploy(node, solc, "Token")
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)]) as shop:
        in_eth, in_usdc = await shop.ask(), await shop.ask(PRICE, asset="USDC")
        wrong = usdc.send("transfer(address,uint256)", in_eth["address"], 5_000_000)
        false = fake.send("transfer(address,uint256)", in_usdc["address"], 100_000_000)
        right = usdc.send("transfer(address,uint256)", in_usdc["address"], 100_000_000)
        node.mine(CONFIRMATIONS)
        await shop.process()
        explain = explaining(shop, token(usdc))
        told = await explain.of(wrong)
        assert verdict(told) == (PaymentOutcome.NOT_COUNTED, Reason.WRONG_ASSET)
        assert "5 USDC arrived, but the session expects 1 ETH" in told.headline
        told = await explain.of(false)
        assert verdict(told) == (PaymentOutcome.NOT_COUNTED, Reason.UNKNOWN_TOKEN)
        assert told.sessions == (in_usdc["id"],)
        told = await explain.of(right)
        assert verdict(told) == (PaymentOutcome.COUNTED, Reason.ON_TIME)
        assert facts(told)["token"].lower() == usdc.address


async def test_what_reverted_and_what_went_elsewhere_did_not_count(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)]) as shop:
        session = await shop.ask(PRICE, asset="USDC")
        poor = usdc.send("transfer(address,uint256)", session["address"], 10**6, sender=node.accounts[1])
        elsewhere = node.send(node.accounts[0], node.accounts[1], 1)
        node.mine(CONFIRMATIONS)
        await shop.process()
        told = await explaining(shop, token(usdc)).of(poor)
        assert verdict(told) == (PaymentOutcome.NOT_COUNTED, Reason.REVERTED)
        assert told.sessions == (session["id"],)
        told = await explaining(shop).of(elsewhere)
        assert verdict(told) == (PaymentOutcome.NOT_COUNTED, Reason.NOT_OURS)


async def test_what_a_contract_sent_is_found_inside_its_transaction_where_a_node_traces(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    lacking = {
        method: Error("not available", -32601) for method in ("debug_traceBlockByHash", "debug_traceTransaction")
    }
    async with running(forwarding(node.url, lacking)) as poor:
        for folder, url, named in (("rich", node.url, True), ("poor", poor.url, False)):
            (tmp_path / folder).mkdir()
            async with open_shop(tmp_path / folder, [url]) as shop:
                session = await shop.ask()
                tx_hash = payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 4])
                node.mine(CONFIRMATIONS)
                await shop.process()
                told = await explaining(shop).of(tx_hash)
                if named:
                    assert verdict(told) == (PaymentOutcome.COUNTED, Reason.ON_TIME)
                    assert told.advice == "It was not enough; see what is missing"
                    assert told.command == f"crypto-checkout explain {session['id']}"
                else:
                    assert verdict(told) == (PaymentOutcome.UNKNOWN, Reason.NOT_WATCHED)
                    assert session["id"] in told.headline


@asynccontextmanager
async def behind(node: Anvil) -> AsyncIterator[str]:
    """Stand before a node that knows no transaction."""
    nothing = {"eth_getTransactionByHash": None, "eth_getTransactionReceipt": None}
    async with running(forwarding(node.url, nothing)) as front:
        yield front.url


async def test_where_two_providers_must_agree_and_do_not_that_is_the_reason(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with behind(node) as liar, open_shop(tmp_path, [node.url, liar], confirm_with=2) as shop:
        session = await shop.ask()
        tx_hash = pay(node, session)
        node.mine(CONFIRMATIONS)
        told = await explaining(shop).of(tx_hash)
        assert verdict(told) == (PaymentOutcome.WAITING, Reason.AGREEMENT)
        assert "1 of 2 providers agree" in told.headline


async def test_an_answer_that_belongs_to_another_transaction_is_not_believed(tmp_path: Path) -> None:
    results = {"eth_chainId": hex(ANVIL_CHAIN_ID), "eth_getTransactionByHash": {"hash": "0x" + "cd" * 32}}
    results["eth_getTransactionReceipt"] = {}
    results["eth_blockNumber"] = "0x1"
    results["eth_getBlockByNumber"] = {
        "number": "0x1",
        "hash": "0x" + "01" * 32,
        "parentHash": "0x" + "00" * 32,
        "timestamp": "0x1",
        "transactions": [],
        "logsBloom": "0x" + "00" * 256,
    }
    async with running(answering(results)) as node, open_shop(tmp_path, [node.url]) as shop:
        told = await explaining(shop).of("0x" + "ab" * 32)
        assert verdict(told) == (PaymentOutcome.UNKNOWN, Reason.NOT_ASKED)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder) as running_server:
        yield running_server


SCENARIOS = {
    "exact": ("counted", "on_time"),
    "late": ("counted", "in_grace"),
    "underpaid": ("waiting", "too_little"),
    "overpaid": ("counted", "too_much"),
    "after_grace": ("not_counted", "too_late"),
    "reorged_after_paid": ("not_counted", "reorged"),
    "internal": ("counted", "on_time"),
    "wrong_token": ("not_counted", "wrong_asset"),
    "two_in_one_tx": ("counted", "on_time"),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_of_test_mode_is_explained_beside_the_running_server(
    server: Server, folder: Path, scenario: str
) -> None:
    made = server.api.post("/checkout_sessions", json={"amount": {"value": "30.00", "currency": "USD"}}).json()
    paid = server.api.post(f"/test_helpers/checkout_sessions/{made['id']}/pay", json={"scenario": scenario})
    assert paid.is_success, paid.text
    told = command(folder, "explain", made["id"], "--json")
    assert told.returncode == 0, told.stderr
    explained = json.loads(told.stdout)
    assert (explained["outcome"], explained["reason"]) == SCENARIOS[scenario]
    for payment in paid.json()["payments"]:
        of_transaction = json.loads(command(folder, "explain", payment["txHash"], "--json").stdout)
        assert of_transaction["sessions"] == [made["id"]]


def test_the_words_fit_and_begin_with_the_verdict(server: Server, folder: Path) -> None:
    made = server.api.post("/checkout_sessions", json={"amount": {"value": "30.00", "currency": "USD"}}).json()
    assert server.api.post(f"/test_helpers/checkout_sessions/{made['id']}/pay").is_success
    assert server.api.post("/test_helpers/chain/mine", json={"blocks": 3}).is_success
    head, *rest = command(folder, "explain", made["address"]).stdout.splitlines()
    assert head == "Paid: 0.01 ETH received on time; 3 of 3 confirmations."
    assert any("Paid." in line for line in rest)
    unknown = command(folder, "explain", "0x" + "ab" * 32)
    assert unknown.returncode == 1
    assert "No such transaction is known" in unknown.stdout
    wrong = command(folder, "explain", "nonsense")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "nothing to explain" in wrong.stderr

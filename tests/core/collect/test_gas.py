"""Collecting costs the gas that the guides promise: what an amount takes, in one transaction with others."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_abi.abi import encode

from crypto_checkout.chain.wallet import signing
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.contracts import COLLECTOR, CREATE2_PROXY, delegate
from crypto_checkout.core.collect.deposits import Deposits, salt
from crypto_checkout.core.collect.plan import Plan
from tests.core.collect.test_contracts import SETTINGS
from tests.support import plans, solidity
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, collect, deploy_contracts, transact
from tests.support.solidity import Compiler
from tests.support.solidity_tools import TESTS

PROMISED = {
    "a token, first": {1: 104_837, 10: 64_700, 50: 61_100, 100: 60_600},
    "a token, again": {1: 55_364, 10: 17_800, 50: 15_100, 100: 14_800},
    "the coin, first": {1: 92_480, 10: 64_500, 50: 62_000, 100: 61_700},
}


def test_an_amount_takes_the_promised_gas(anvil: Callable[..., Anvil], solc: Compiler) -> None:
    node = anvil(arguments=["--hardfork", "prague"])
    deploy_contracts(node)
    token = Address(usdc(node, solc))
    mint(node, token, COLD, 1)  # the first coin of a destination takes more
    node.rpc("anvil_setBalance", COLD, "0x1")
    used: dict[str, dict[int, int]] = {name: {} for name in PROMISED}
    for place, count in enumerate((1, 10, 50, 100)):
        salts = [salt(1000 * place + index) for index in range(count)]
        deposits = [Deposits(COLD).address_of(each) for each in salts]
        for name in ("a token, first", "a token, again"):
            for deposit in deposits:
                mint(node, token, deposit, 5_000_000)
            used[name][count] = gas(node, token, salts)
        salts = [salt(1000 * place + 500 + index) for index in range(count)]
        for each in salts:
            node.rpc("anvil_setBalance", Deposits(COLD).address_of(each), hex(10**18))
        used["the coin, first"][count] = gas(node, calls.COIN, salts)

    assert used == {name: pytest.approx(promised, rel=0.05) for name, promised in PROMISED.items()}


BATCHED = {
    "a token, first": {1: 65_205, 10: 35_400, 50: 32_700, 100: 32_400},
    "a token, again": {1: 54_206, 10: 17_400, 50: 14_700, 100: 14_400},
    "the coin, first": {1: 51_837, 10: 31_400, 50: 29_600, 100: 29_400},
}


def test_an_amount_of_a_wallets_addresses_takes_the_promised_gas(anvil: Callable[..., Anvil], solc: Compiler) -> None:
    node = anvil(arguments=["--hardfork", "prague"])
    deploy_contracts(node)
    token = Asset(plans.CHAIN_ID, "USDC", 6, Address(usdc(node, solc)))
    transact(node, CREATE2_PROXY, delegate(plans.DESTINATION).deployment)
    mint(node, token.contract or COLD, plans.DESTINATION, 1)
    node.rpc("anvil_setBalance", plans.DESTINATION, "0x1")
    wallet = plans.Addresses()
    node.rpc("anvil_setBalance", wallet.fuel, hex(10**21))
    used: dict[str, dict[int, int]] = {name: {} for name in BATCHED}
    for place, count in enumerate((1, 10, 50, 100)):
        some = range(1000 * place, 1000 * place + count)
        for name, nonce in (("a token, first", 0), ("a token, again", None)):
            for index in some:
                mint(node, token.contract or COLD, wallet.address(index), 5_000_000)
            used[name][count] = batch_gas(node, wallet.batch(some, token, nonce)) // count
        others = range(1000 * place + 500, 1000 * place + 500 + count)
        for index in others:
            node.rpc("anvil_setBalance", wallet.address(index), hex(10**18))
        used["the coin, first"][count] = batch_gas(node, wallet.batch(others, plans.COIN, 0)) // count

    assert used == {name: pytest.approx(promised, rel=0.05) for name, promised in BATCHED.items()}


def batch_gas(node: Anvil, plan: Plan) -> int:
    """Sign and send a plan of one batch, and return the gas that it took."""
    nonce = int(node.rpc("eth_getTransactionCount", plan.fuel.address, "latest"), 16)
    (signed,) = signing.sign(replace(plan, fuel=replace(plan.fuel, nonce=nonce)), plans.WORDS, "").transactions
    tx_hash = node.rpc("eth_sendRawTransaction", signed.raw)
    node.mine()
    receipt = node.rpc("eth_getTransactionReceipt", tx_hash)
    assert sum(log["address"] != COLLECTOR.address for log in receipt["logs"]) >= len(plan.items)
    return int(receipt["gasUsed"], 16)


def gas(node: Anvil, token: Address, salts: list[bytes]) -> int:
    """Collect, and return the gas that each amount took."""
    receipt = collect(node, COLD, {token: salts})
    assert sum(log["address"] != COLLECTOR.address for log in receipt["logs"]) >= len(salts)
    return int(receipt["gasUsed"], 16) // len(salts)


def mint(node: Anvil, token: Address, to: Address, units: int) -> None:
    transact(node, token, bytes.fromhex(solidity.calldata("mint(address,uint256)", to, units)[2:]))


def usdc(node: Anvil, compiler: Compiler) -> str:
    """Put a token like USDC on the chain, behind its proxy; return the proxy's address."""
    settings = json.dumps({key: SETTINGS[key] for key in ("optimizer", "evmVersion")})
    made = solidity.compile_source(compiler, TESTS / "Tokens.sol", settings)
    address = ""
    for name in ("FiatImpl", "FiatProxy"):
        data = made[name]["bytecode"]["object"] + (encode(["address"], [address]).hex() if address else "")
        sent = {"from": node.accounts[7], "data": f"0x{data}", "gas": hex(5_000_000)}
        tx_hash = node.rpc("eth_sendTransaction", sent)
        node.mine()
        address = node.rpc("eth_getTransactionReceipt", tx_hash)["contractAddress"]
    return address

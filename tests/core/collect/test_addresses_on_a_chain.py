"""The Collector on a chain computes the addresses that we give out."""

import random
from collections.abc import Callable

import httpx

from crypto_checkout.core.address import Address
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.contracts import COLLECTOR
from crypto_checkout.core.collect.deposits import Deposits, salt
from tests.support.anvil import Anvil
from tests.support.collecting import deploy_contracts

SEED = 20261201


def test_a_thousand_random_deposits_are_where_the_collector_says(anvil: Callable[..., Anvil]) -> None:
    node = anvil()
    deploy_contracts(node)
    dice = random.Random(SEED)
    wallets = [
        Deposits(Address("0x" + dice.randbytes(20).hex()), dice.choice(["", "shop", "Ladenkaffee № 2", "\ntest mode"]))
        for _ in range(1000)
    ]
    indices = [dice.choice([dice.randrange(1000), dice.randrange(2**63), dice.randrange(2**256)]) for _ in wallets]
    asked = [
        {
            "jsonrpc": "2.0",
            "id": place,
            "method": "eth_call",
            "params": [
                {
                    "to": COLLECTOR.address,
                    "data": "0x" + calls.address_of(wallet.destination, salt(index, wallet.label)).hex(),
                },
                "latest",
            ],
        }
        for place, (wallet, index) in enumerate(zip(wallets, indices, strict=True))
    ]
    answers = httpx.post(node.url, json=asked, timeout=60, trust_env=False).json()
    said = {answer["id"]: "0x" + answer["result"][-40:] for answer in answers}

    assert [said[place] for place in range(1000)] == [
        wallet.address(index) for wallet, index in zip(wallets, indices, strict=True)
    ]

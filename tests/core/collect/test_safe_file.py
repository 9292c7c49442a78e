"""The file for Safe's Transaction Builder: its form and checksum are those of the builder's own."""

from datetime import UTC, datetime

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.batches import batches
from crypto_checkout.core.collect.contracts import COLLECTOR
from crypto_checkout.core.collect.holdings import Holding, Market
from crypto_checkout.core.collect.safe_file import Json, file, file_checksum
from tests.support.factories import ADDRESS, ETH

COLD = Address("0x" + "11" * 20)
MARKET = Market("USD", {}, {1: ETH}, {})


def a_deposit(number: int) -> Holding:
    return Holding(number, ADDRESS, "cs_1", number, None, number.to_bytes(32), ETH, 10**18, 0, COLD)


def test_the_checksum_is_the_builders_own() -> None:
    method = {
        "inputs": [
            {"internalType": "address", "name": "spender", "type": "address"},
            {"internalType": "uint256", "name": "value", "type": "uint256"},
        ],
        "name": "approve",
        "payable": False,
    }
    exported: Json = {  # by the builder
        "version": "1.0",
        "chainId": "1",
        "createdAt": 1761326849944,
        "meta": {
            "name": "Transactions Batch",
            "description": "",
            "txBuilderVersion": "1.18.2",
            "createdFromSafeAddress": "0xA77DE01e157f9f57C7c4A326eeE9C4874D0598b6",
            "createdFromOwnerAddress": "",
        },
        "transactions": [
            {
                "to": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
                "value": "0",
                "data": None,
                "contractMethod": method,
                "contractInputsValues": {
                    "spender": "0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8",
                    "value": "100000000000",
                },
            }
        ],
    }
    assert file_checksum(exported) == "0x8b5032f716845c8b08bab3d63dbd9ba92e056f3557793cd041e59b84e16aa989"


def test_a_file_has_a_call_of_the_collector_for_each_hundred_amounts() -> None:
    made = batches([a_deposit(number) for number in range(101)], MARKET)
    assert [len(each.items) for each in made] == [100, 1]
    content = file(made, 1, "Collect", datetime(2026, 1, 31, tzinfo=UTC))
    assert (content["chainId"], content["createdAt"], len(content["transactions"])) == ("1", 1769817600000, 2)
    (first, last) = content["transactions"]
    assert (first["to"], first["value"]) == (checksum(COLLECTOR.address), "0")
    assert last["data"] == "0x" + made[1].data.hex()
    assert file_checksum({**content, "meta": {**content["meta"], "name": "Another"}}) != content["meta"]["checksum"]
    meta = {name: value for name, value in content["meta"].items() if name != "checksum"}
    assert file_checksum({**content, "meta": meta}) == content["meta"]["checksum"]


def test_deposits_and_addresses_that_delegate_take_calls_of_their_own() -> None:
    deposit = a_deposit(0)
    delegating = deposit._replace(key=2, number=7, salt=None)
    made = batches([deposit, delegating, delegating._replace(destination=None)], MARKET)
    assert [(each.is_of_deposits, len(each.items)) for each in made] == [(True, 1), (False, 1)]
    assert made[1].data == calls.collect_from({calls.COIN: [deposit.address]})

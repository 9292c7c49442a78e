"""What the chain itself says of a shop's sessions, read from the node without any code of the product."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from crypto_checkout.core.ledger.payment import Payment
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.store.checkout import sessions as session_store
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.ledger import cursors, payments, unmatched
from tests.support.anvil import Anvil
from tests.support.shop import ANVIL_CHAIN_ID, Shop
from tests.support.solidity import calldata


@dataclass(frozen=True)
class Truth:
    """The node, the block that all sessions came after, and the tokens that the shop takes, by their symbols."""

    node: Anvil
    start: int
    contracts: Mapping[str, str]

    def block(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.node.rpc("eth_getBlockByNumber", hex(number), True)
        return found

    def coins(self, address: str, until: int) -> int:
        """Return what came to an address since the start: what it holds more, and what it has spent."""
        held = [int(self.node.rpc("eth_getBalance", address, hex(number)), 16) for number in (self.start, until)]
        return held[1] - held[0] + sum(self._spent(address, number) for number in range(self.start + 1, until + 1))

    def tokens(self, contract: str, address: str, until: int) -> int:
        """Return what came to an address of a token since the start, for none is ever sent on."""
        call = {"to": contract, "data": calldata("balanceOf(address)", address)}
        held = [int(self.node.rpc("eth_call", call, hex(number)), 16) for number in (self.start, until)]
        return held[1] - held[0]

    def _spent(self, address: str, number: int) -> int:
        sent = [each for each in self.block(number)["transactions"] if each["from"] == address.lower()]
        return sum(self._cost(each) for each in sent)

    def _cost(self, transaction: dict[str, Any]) -> int:
        receipt = self.node.rpc("eth_getTransactionReceipt", transaction["hash"])
        value = int(transaction["value"], 16) if receipt["status"] == "0x1" else 0
        return value + int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)


async def compare(shop: Shop, truth: Truth, sessions: list[SessionResource]) -> bool:
    """Fail where the ledger says anything else than the chain up to the cursor; False while that isn't on the chain."""
    cursor = await shop.db.read(lambda unit: cursors.cursor(unit, ANVIL_CHAIN_ID))
    assert cursor is not None
    if cursor.number > truth.node.block_number() or truth.block(cursor.number)["hash"] != cursor.hash:
        return False
    for session in sessions:
        found, others = await shop.db.read(partial(_recorded, session_id=session["id"]))
        for payment in (*found, *others):
            assert truth.block(payment.transfer.block_number)["hash"] == payment.transfer.block_hash
        address, until = session["address"], cursor.number
        held = {symbol: truth.tokens(contract, address, until) for symbol, contract in truth.contracts.items()}
        held["ETH"] = truth.coins(address, until)
        wanted = held.pop(session["asset"])
        assert sum(payment.transfer.units for payment in found) == wanted, f"{session['asset']} of {session['id']}"
        for symbol, units in held.items():
            contract = truth.contracts.get(symbol)
            unasked = sum(payment.transfer.units for payment in others if payment.transfer.contract == contract)
            assert unasked == units, f"unmatched {symbol} of {session['id']}"
        assert {payment.transfer.contract for payment in others} <= {None, *truth.contracts.values()}
    return True


def _recorded(unit: ReadUnit, session_id: str) -> tuple[list[Payment], list[Payment]]:
    session = session_store.get(unit, session_id)
    assert session is not None
    found = payments.of_session(unit, session)
    others = [each.payment for each in unmatched.of_session(unit, session_id)]
    return [each for each in found if each.canonical], [each for each in others if each.canonical]

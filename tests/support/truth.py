"""The chain's own account of a shop's payments, to hold the shop's records against.

It uses no code of the product: the node is asked in JSON-RPC, and the database is read with SQL of its own.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.anvil import Anvil
from tests.support.solidity import calldata

COLLECTED = "0x484decdc1e9549e1866295f6f86c889ded3f7de410e7488a7a415978589dc8fd"
NOTHING = "0x" + "00" * 20

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Truth:
    """A node and the database of a shop on its chain.

    Args:
        node: the node.
        database: the shop's database.
        start: the number of a block before the first session.
        contracts: the addresses of the tokens that the shop accepts, by their symbols.
    """

    node: Anvil
    database: Path
    start: int
    contracts: Mapping[str, str]

    def block(self, number: int) -> dict[str, Any]:
        """Return a block with its transactions."""
        block: dict[str, Any] = self.node.rpc("eth_getBlockByNumber", hex(number), True)
        return block

    def matches(self, sessions: Sequence[Json]) -> bool:
        """Fail where a session's records differ from the chain up to the cursor.

        Return False without comparing anything while a reorganisation has replaced the cursor's block.
        """
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            cursor = connection.execute("SELECT number, hash FROM chain_cursors").fetchone()
            if not self._is_on_the_chain(cursor["number"], cursor["hash"]):
                return False
            for session in sessions:
                self._compare(connection, session, cursor["number"])
        return True

    def _compare(self, connection: sqlite3.Connection, session: Json, until: int) -> None:
        payments = _canonical(connection, "payments", session["id"])
        unmatched = _canonical(connection, "unmatched_payments", session["id"])
        for each in (*payments, *unmatched):
            assert self._is_on_the_chain(each["block_number"], each["block_hash"])
        received = {symbol: self._tokens(of, session["address"], until) for symbol, of in self.contracts.items()}
        received["ETH"] = self._coins(session["address"], until)
        recorded = sum(int(each["units"]) for each in payments)
        assert recorded == received.pop(session["asset"]), f"{session['asset']} of {session['id']}"
        for symbol, units in received.items():
            contract = self.contracts.get(symbol)
            recorded = sum(int(each["units"]) for each in unmatched if each["contract"] == contract)
            assert recorded == units, f"unmatched {symbol} of {session['id']}"
        assert {each["contract"] for each in unmatched} <= {None, *self.contracts.values()}

    def _is_on_the_chain(self, number: int, block_hash: str) -> bool:
        return number <= self.node.block_number() and bool(self.block(number)["hash"] == block_hash)

    def _coins(self, address: str, until: int) -> int:
        """Return the wei received since the start: the growth of the balance and the expenses."""
        before, after = (
            int(self.node.rpc("eth_getBalance", address, hex(number)), 16) for number in (self.start, until)
        )
        spent = sum(self._spent(address, number) for number in range(self.start + 1, until + 1))
        return after - before + spent + self._collected(address, NOTHING, until)

    def _tokens(self, contract: str, address: str, until: int) -> int:
        """Return the units of a token received since the start; tests send none on but by collecting."""
        call = {"to": contract, "data": calldata("balanceOf(address)", address)}
        before, after = (int(self.node.rpc("eth_call", call, hex(number)), 16) for number in (self.start, until))
        return after - before + self._collected(address, contract, until)

    def _collected(self, address: str, token: str, until: int) -> int:
        """Return what the address itself says was collected from it; its code is the deposits' or none."""
        topics = [COLLECTED, None, "0x" + token[2:].lower().rjust(64, "0")]
        span = {"fromBlock": hex(self.start + 1), "toBlock": hex(until)}
        logs = (
            self.node.rpc("eth_getLogs", {"address": address, "topics": topics, **span}) if until > self.start else []
        )
        return sum(int(log["data"], 16) for log in logs)

    def _spent(self, address: str, number: int) -> int:
        sent = [each for each in self.block(number)["transactions"] if each["from"] == address.lower()]
        return sum(self._cost(each) for each in sent)

    def _cost(self, transaction: Json) -> int:
        receipt = self.node.rpc("eth_getTransactionReceipt", transaction["hash"])
        value = int(transaction["value"], 16) if receipt["status"] == "0x1" else 0
        return value + int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)


def _canonical(connection: sqlite3.Connection, table: str, session_id: str) -> list[sqlite3.Row]:
    return connection.execute(
        f"SELECT * FROM {table} WHERE session_id = ? AND canonical = 1",  # noqa: S608 - one of two names above
        [session_id],
    ).fetchall()

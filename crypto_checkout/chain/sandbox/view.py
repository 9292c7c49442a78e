"""The reads of the sandbox that commands and pages need: transactions, and the tokens held and sent."""

from collections.abc import Sequence

from crypto_checkout.chain.sandbox.chain import CHAIN_ID, SandboxChain, _transfer
from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.ledger.follow import Header


class SandboxView(SandboxChain):
    """The sandbox with the reads of `chain.evm.chain` that the watcher does not need."""

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Return a transaction's effects; None for one that is unknown, or was forgotten."""
        self._check_reachable()
        of_blocks = self._transactions.by_block.values()
        transfers = [each for transactions in of_blocks for each in transactions if each.hash == tx_hash]
        if not transfers:
            return None
        header = self._header(transfers[0].block_number)
        moved = tuple(_transfer(each, header) for each in transfers)
        return ObservedTransaction(CHAIN_ID, header, has_succeeded=True, transfers=moved, is_traced=True)

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the token balances of addresses at a block."""
        return self._held(header, token, addresses)

    async def gas_price(self) -> int:
        """Return 1 gwei: nobody pays it."""
        return 10**9

    async def spent_between(self, first: int, last: Header, address: Address) -> int:  # noqa: ARG002
        """Return zero: no address sends a transaction, it is collected from."""
        return 0

"""The simulated chain as commands and pages look at it: what a transaction did, and what addresses hold and sent."""

from collections.abc import Sequence

from crypto_checkout.chain.sandbox.chain import CHAIN_ID, SandboxChain, _transfer
from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.ledger.follow import Header


class SandboxView(SandboxChain):
    """Answers what `chain.evm.chain` answers beyond what the watcher asks. Nobody sends from an address here."""

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Return what a transaction did; None for one that is not known, or was forgotten."""
        self._check_reachable()
        of_blocks = self._transactions.by_block.values()
        transfers = [each for transactions in of_blocks for each in transactions if each.hash == tx_hash]
        if not transfers:
            return None
        header = self._header(transfers[0].block_number)
        moved = tuple(_transfer(each, header) for each in transfers)
        return ObservedTransaction(CHAIN_ID, header, has_succeeded=True, transfers=moved, is_traced=True)

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return what addresses hold of a token at a block."""
        self._check_current(header)
        return {
            address: sum(
                each.units
                for each in self._transactions.by_address.get(address, ())
                if each.contract == token and each.block_number <= header.number
            )
            for address in addresses
        }

    async def spent_between(self, first: int, last: Header, address: Address) -> int:  # noqa: ARG002
        """Return no costs."""
        return 0

    async def tokens_sent(
        self,
        token: Address,  # noqa: ARG002
        first: int,  # noqa: ARG002
        last: Header,  # noqa: ARG002
        addresses: Sequence[Address],
    ) -> dict[Address, int]:
        """Return that nobody sent anything."""
        return dict.fromkeys(addresses, 0)

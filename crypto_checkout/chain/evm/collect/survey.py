"""Read what a plan to collect needs of a chain: accounts, fees, gas, and whether it has EIP-7702."""

import re
from collections.abc import Awaitable, Callable, Sequence
from statistics import median_low
from typing import Any

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.rpc.failures import Throttled
from crypto_checkout.chain.rpc.providers import Ask, Call, Refused, Rpc, quantity
from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.chain_state import CallMessage, ChainAccount, CurrentFees
from crypto_checkout.core.collect.contracts import CREATE2_PROXY, Contract, delegate, delegate_code, word
from crypto_checkout.core.errors import ProviderFailed

_FEE_BLOCKS = 20
_TIP_PERCENTILE = 50
_AT_ONCE = 50
CALL_FAILED = re.compile(r"revert|insufficient|exceeds allowance|out of gas|invalid opcode", re.IGNORECASE)

# OP Stack chains charge for a transaction's data apart from gas; this contract of theirs says how much, at most
# (https://specs.optimism.io/protocol/fjord/predeploys.html).
_GAS_PRICE_ORACLE = Address("0x420000000000000000000000000000000000000f")
_UPPER_BOUND = calls.selector("getL1FeeUpperBound(uint256)")


class NoDynamicFees(ProviderFailed):
    """The chain's blocks have no base fee: it doesn't know the transactions of EIP-1559."""

    cause = "its blocks have no base fee"


async def data_fee(read: Callable[[str, str], Awaitable[bytes]], transaction_bytes: int) -> int:
    """Return the same as `Survey.data_fee`, by what reads contracts as `chain.evm.chain.EvmChain.ask_stranger` does."""
    answer = await read(_GAS_PRICE_ORACLE, "0x" + (_UPPER_BOUND + transaction_bytes.to_bytes(32)).hex())
    return int.from_bytes(answer) if len(answer) == len(word(_GAS_PRICE_ORACLE)) else 0


class Survey:
    """Asks the providers of one chain."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def accounts(self, addresses: Sequence[Address]) -> dict[Address, ChainAccount]:
        """Return accounts at the newest block. Raises ProviderFailed."""

        async def read(ask: Ask) -> dict[Address, ChainAccount]:
            nonces = await ask([("eth_getTransactionCount", [each, "latest"]) for each in addresses])
            codes = await ask([("eth_getCode", [each, "latest"]) for each in addresses])
            return {
                address: ChainAccount(quantity(nonce), "0x" + decoding.hexadecimal(code).hex())
                for address, nonce, code in zip(addresses, nonces, codes, strict=True)
            }

        return await self._rpc.with_failover(read)

    async def fees(self) -> CurrentFees:
        """Return the current fees. Raises ProviderFailed, NoDynamicFees among them."""

        async def read(ask: Ask) -> CurrentFees:
            (history,) = await ask([("eth_feeHistory", [hex(_FEE_BLOCKS), "latest", [_TIP_PERCENTILE]])])
            bases = [quantity(each) for each in decoding.field(history, "baseFeePerGas")]
            tips = [quantity(each[0]) for each in decoding.field(history, "reward") or [] if each]
            if not any(bases) and not any(tips):
                raise NoDynamicFees("the chain names no base fee and no tips")
            return CurrentFees(bases[-1], median_low(tips) if tips else 0)

        return await self._rpc.with_failover(read)

    async def data_fee(self, transaction_bytes: int) -> int:
        """Return the most that an OP Stack chain charges now for a transaction's data, in wei; 0 on other chains."""
        data = _UPPER_BOUND + transaction_bytes.to_bytes(32)

        async def read(ask: Ask) -> int:
            answer = await _call(ask, CallMessage(_GAS_PRICE_ORACLE, _GAS_PRICE_ORACLE, data=data))
            return int.from_bytes(answer) if len(answer) == len(word(_GAS_PRICE_ORACLE)) else 0

        return await self._rpc.with_failover(read)

    async def gas(self, messages: Sequence[CallMessage]) -> list[int | None]:
        """Estimate the gas of each message at the newest block; None for one that would revert."""
        found: list[int | None] = []
        for start in range(0, len(messages), _AT_ONCE):
            some = messages[start : start + _AT_ONCE]

            async def read(ask: Ask, some: Sequence[CallMessage] = some) -> list[int | None]:
                return await _estimates(ask, some)

            found += await self._rpc.with_failover(read)
        return found

    async def has(self, contract: Contract) -> bool:
        """Return True if the contract's very code is where it belongs."""
        account = (await self.accounts([contract.address]))[contract.address]
        return "0x" + keccak_256(bytes.fromhex(account.code[2:])).hex() == contract.code_hash

    async def deployment_gas(self, contract: Contract) -> int | None:
        """Estimate the gas to create a contract; None where the deployment proxy is missing, or it would revert."""
        if (await self.accounts([CREATE2_PROXY]))[CREATE2_PROXY].code == "0x":
            return None
        (gas,) = await self.gas([CallMessage(CREATE2_PROXY, CREATE2_PROXY, data=contract.deployment)])
        return gas

    async def can_delegate(self, destination: Address, throwaway_key: bytes, *, is_there: bool) -> bool:
        """Try EIP-7702: have an unused account delegate within a call, and ask it for its destination.

        A chain without it ignores or refuses the authorization. Where the delegate isn't deployed yet, its code is put
        in place for the call; the account's own code never is, which would seem to work everywhere.
        """
        contract = delegate(destination)
        account, authorization = _authorization(self._rpc.chain_id, contract.address, throwaway_key)
        # Were the account the sender too, its nonce would be another by the time of the authorization.
        fields = _fields(CallMessage(calls.COIN, account, data=calls.destination_of_delegate()))
        params: list[Any] = [{**fields, "authorizationList": [authorization]}, "latest"]
        if not is_there:
            params.append({contract.address: {"code": "0x" + delegate_code(destination).hex()}})

        async def read(ask: Ask) -> bool:
            try:
                (answer,) = await ask([("eth_call", params)])
            except Throttled:
                raise
            except Refused:
                return False
            return decoding.hexadecimal(answer) == word(destination)

        return await self._rpc.with_failover(read)


def _authorization(chain_id: int, delegate_address: Address, key: bytes) -> tuple[Address, dict[str, str]]:
    from eth_account import Account as Signer

    consent: Any = {"chainId": chain_id, "address": delegate_address, "nonce": 0}
    signed = Signer.sign_authorization(consent, key)
    fields = {
        "chainId": hex(chain_id),
        "address": delegate_address,
        "nonce": "0x0",
        "yParity": hex(signed.y_parity),
        "r": hex(signed.r),
        "s": hex(signed.s),
    }
    return Address(Signer.from_key(key).address.lower()), fields


async def _estimates(ask: Ask, messages: Sequence[CallMessage]) -> list[int | None]:
    wanted: list[Call] = [("eth_estimateGas", [_fields(each)]) for each in messages]
    try:
        return [quantity(each) for each in await ask(wanted)]
    except Throttled:
        raise
    except Refused as error:
        if not _is_about_the_call(error):
            raise
    found: list[int | None] = []
    for call in wanted:
        try:
            found += [quantity(each) for each in await ask([call])]
        except Throttled:
            raise
        except Refused as error:
            if not _is_about_the_call(error):
                raise
            found.append(None)
    return found


def _fields(message: CallMessage) -> dict[str, str]:
    return {
        "from": message.sender,
        "to": message.to,
        "value": hex(message.value),
        "data": "0x" + message.data.hex(),
    }


def _is_about_the_call(error: Refused) -> bool:
    return CALL_FAILED.search(str(error)) is not None


async def _call(ask: Ask, message: CallMessage) -> bytes:
    try:
        (answer,) = await ask([("eth_call", [_fields(message), "latest"])])
    except Refused as error:
        if decoding.has_reverted(error):
            return b""
        raise
    return decoding.hexadecimal(answer)

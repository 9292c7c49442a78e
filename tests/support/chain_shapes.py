"""What the blocks of each preset's chain have that others don't: header fields, and transactions of their own.

Written by hand after the clients' sources and recorded blocks, and as small as they can be. `bridged` is an address
that is paid by a transaction which nobody signed, where the chain has such.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.played_chain import NOWHERE, Log, Sent

ONE_COIN = 10**18
HASH = "0x" + "5e" * 32
ADDRESS = "0x" + "3c" * 20

UNSIGNED: Mapping[str, Any] = {"gasPrice": "0x0", "nonce": "0x0", **dict.fromkeys(("v", "r", "s"), "0x0")}
FEES: Mapping[str, Any] = {
    "maxFeePerGas": "0x3b9aca01",
    "maxPriorityFeePerGas": "0x1",
    "accessList": [],
    "yParity": "0x1",
}
SHANGHAI: Mapping[str, Any] = {"withdrawalsRoot": HASH, "withdrawals": []}
CANCUN: Mapping[str, Any] = {
    **SHANGHAI,
    "blobGasUsed": "0x20000",
    "excessBlobGas": "0x0",
    "parentBeaconBlockRoot": HASH,
}
PRAGUE: Mapping[str, Any] = {**CANCUN, "requestsHash": HASH}


@dataclass(frozen=True)
class Shape:
    """A chain's header fields, its transactions, and the logs that are in none of its receipts.

    `pays_bridged` tells that the transactions pay one coin to `bridged`; `has_syncs`, that tokens come by logs alone.
    """

    header: Mapping[str, Any]
    transactions: Callable[[str], Sequence[Sent]] = lambda _: ()
    loose: Sequence[Log] = ()
    pays_bridged: bool = False
    has_syncs: bool = False
    receipt: Mapping[str, Any] = field(default_factory=dict)
    """Fields that each receipt has."""


# --- Ethereum and its test network -----------------------------------------------------------------------------------


def _of_ethereum(_: str) -> Sequence[Sent]:
    authorization = {"chainId": "0x0", "address": ADDRESS, "nonce": "0x5", "yParity": "0x0", "r": "0x1", "s": "0x1"}
    return [
        Sent(type=0, more={"chainId": None, "v": "0x1b"}),  # before EIP-155
        Sent(type=1, more={"accessList": [{"address": ADDRESS, "storageKeys": [HASH]}], "yParity": "0x0"}),
        Sent(
            type=3,
            more={**FEES, "maxFeePerBlobGas": "0x1", "blobVersionedHashes": ["0x01" + "be" * 31]},
            receipt={"blobGasUsed": "0x20000", "blobGasPrice": "0x1"},
        ),
        Sent(type=4, to=ADDRESS, sender=ADDRESS, value=5, more={**FEES, "authorizationList": [authorization]}),
        Sent(to=None, more=FEES, receipt={"contractAddress": ADDRESS}),
    ]


_WITHDRAWAL: Mapping[str, Any] = {"index": "0x1", "validatorIndex": "0x2", "address": ADDRESS, "amount": "0x77359400"}

ETHEREUM = Shape({**PRAGUE, "withdrawals": [_WITHDRAWAL]}, _of_ethereum)


# --- the OP Stack ----------------------------------------------------------------------------------------------------

_DEPOSIT: Mapping[str, Any] = {**UNSIGNED, "sourceHash": HASH, "depositReceiptVersion": "0x1", "chainId": None}
_DEPOSIT_RECEIPT: Mapping[str, Any] = {
    "depositNonce": "0x9",
    "depositReceiptVersion": "0x1",
    "effectiveGasPrice": "0x0",
}
_L1_FEES: Mapping[str, Any] = {
    "l1Fee": "0x12a05f200",
    "l1GasPrice": "0x1",
    "l1GasUsed": "0x640",
    "l1BaseFeeScalar": "0x8dd",
    "l1BlobBaseFee": "0x1",
    "l1BlobBaseFeeScalar": "0x101c12",
    "operatorFeeScalar": "0x0",
    "daFootprintGasScalar": "0x9",
}


def _of_optimism(bridged: str) -> Sequence[Sent]:
    attributes = Sent(
        type=0x7E,
        to="0x4200000000000000000000000000000000000015",
        sender="0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
        more={**_DEPOSIT, "mint": "0x0", "isSystemTx": False},
        receipt=_DEPOSIT_RECEIPT,
    )
    deposit = Sent(
        type=0x7E,
        to=bridged,
        value=ONE_COIN,
        sender="0x4eaddeaddeaddeaddeaddeaddeaddeaddead1111",
        more={**_DEPOSIT, "mint": hex(ONE_COIN)},
        receipt=_DEPOSIT_RECEIPT,
    )
    return [attributes, deposit]


OPTIMISM = Shape(
    {**PRAGUE, "extraData": "0x01000000fa00000006" + "00" * 8},
    _of_optimism,
    pays_bridged=True,
    receipt=_L1_FEES,
)


def _of_celo(bridged: str) -> Sequence[Sent]:
    """CIP-64: the fee is paid in a token, and `effectiveGasPrice` counts in it."""
    in_token = {**FEES, "feeCurrency": "0x2f25deb3848c207fc8e0c34035b3ba7fc157602b", "gasPrice": "0x2540be400"}
    return [*_of_optimism(bridged), Sent(type=0x7B, more=in_token, receipt={"baseFee": "0x5d21dba00"})]


# --- Arbitrum --------------------------------------------------------------------------------------------------------


def _of_arbitrum(bridged: str) -> Sequence[Sent]:
    arbos = "0x00000000000000000000000000000000000a4b05"
    retryable = {
        "requestId": HASH,
        "ticketId": HASH,
        "maxRefund": "0x1",
        "submissionFeeRefund": "0x1",
        "refundTo": ADDRESS,
        **UNSIGNED,
    }
    submission = {
        "requestId": HASH,
        "l1BaseFee": "0x1",
        "depositValue": "0x5",
        "retryTo": ADDRESS,
        "retryValue": "0x5",
        "retryData": "0x",
        "beneficiary": ADDRESS,
        "maxSubmissionFee": "0x1",
        "refundTo": ADDRESS,
        **UNSIGNED,
    }
    free = {"gasUsed": "0x0", "effectiveGasPrice": "0x5f5e100"}
    return [
        Sent(type=0x6A, to=arbos, sender=arbos, more={**UNSIGNED, "gas": "0x0"}, receipt=free),
        Sent(type=0x64, to=bridged, value=ONE_COIN, more={**UNSIGNED, "requestId": HASH, "gas": "0x0"}, receipt=free),
        Sent(type=0x65, more={**UNSIGNED, "requestId": HASH}),
        Sent(type=0x66, more={**UNSIGNED, "requestId": HASH, "nonce": None}),
        Sent(type=0x68, value=3, more=retryable),
        Sent(type=0x69, to="0x000000000000000000000000000000000000006e", more=submission),
    ]


ARBITRUM = Shape(
    {"l1BlockNumber": "0x1312d00", "sendCount": "0x1f", "sendRoot": HASH, "difficulty": "0x1", "extraData": HASH},
    _of_arbitrum,
    pays_bridged=True,
    receipt={"gasUsedForL1": "0x100", "l1BlockNumber": "0x1312d00", "timeboosted": False},
)


# --- chains of their own ---------------------------------------------------------------------------------------------


def _of_polygon(_: str) -> Sequence[Sent]:
    """State syncs: since PIP-74 of type 0x7f, before as a legacy transaction of nobody, with a hash of its own kind."""
    nobody = {**UNSIGNED, "gas": "0x0", "input": "0x", "chainId": None}
    log = Log("0x0000000000000000000000000000000000001001", [HASH], index=0)
    return [
        Sent(type=0, to=NOWHERE, sender=NOWHERE, more=nobody, logs=[log], receipt={"gasUsed": "0x0"}),
        Sent(type=0x7F, to=NOWHERE, sender=NOWHERE, more={**nobody, "nonce": None}, receipt={"gasUsed": "0x0"}),
    ]


POLYGON = Shape(
    {"difficulty": "0x1", "extraData": "0x" + "d7" * 97},
    _of_polygon,
    # bor numbers the logs of a state sync from 0, as those of the first transaction.
    loose=[Log("0x0000000000000000000000000000000000001010", [HASH, HASH, HASH], HASH, index=0)],
    has_syncs=True,
)


def _of_bnb(_: str) -> Sequence[Sent]:
    """The validator's own transactions: free, and with the block's fees as their value."""
    validator = "0x" + "e2" * 20
    free = {"gasPrice": "0x0", "gas": "0x7fffffffffffffff"}
    return [
        Sent(type=0, to="0x0000000000000000000000000000000000001000", value=7, sender=validator, more=free),
        Sent(type=0, to="0x0000000000000000000000000000000000001002", value=1, sender=validator, more=free),
    ]


BNB = Shape(
    {**PRAGUE, "difficulty": "0x2", "milliTimestamp": "0x19b2f1a8e6c", "extraData": "0x" + "d9" * 97, "mixHash": HASH},
    _of_bnb,
)


GNOSIS = Shape(
    # Withdrawals are of GNO, a token, here: amounts that are no coins.
    {**PRAGUE, "withdrawals": [_WITHDRAWAL]},
    # Rewards are logged outside any transaction, and numbered from 0 again.
    loose=[
        Log("0x481c034c6d9441db23ea48de68bcae812c5d39ba", [HASH, "0x" + "00" * 12 + "3c" * 20], HASH, index=0),
        Log("0x481c034c6d9441db23ea48de68bcae812c5d39ba", [HASH, "0x" + "00" * 12 + "3d" * 20], HASH, index=0),
    ],
)

AVALANCHE = Shape(
    {
        # The filters of its headers can cover more than the logs.
        "logsBloom": "0x" + "ff" * 255 + "fe",
        "blockExtraData": "0x",
        "extDataHash": HASH,
        "extDataGasUsed": "0x0",
        "blockGasCost": "0x0",
        "timestampMilliseconds": "0x19b2f1a8e6c",
        "minDelayExcess": "0x7970124",
        "difficulty": "0x1",
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": HASH,
    }
)

LINEA = Shape({**SHANGHAI, "extraData": "0x01" + "00" * 31, "difficulty": "0x2"}, lambda _: [Sent(type=0)])


def _of_scroll(bridged: str) -> Sequence[Sent]:
    """A message from Ethereum: of the same type as a deposit of the OP Stack, and with other fields."""
    message = {**UNSIGNED, "queueIndex": "0xdeb70", "chainId": None, "sender": ADDRESS}
    return [Sent(type=0x7E, to=bridged, value=ONE_COIN, more=message, receipt={"effectiveGasPrice": "0x0"})]


SCROLL = Shape({"difficulty": "0x1"}, _of_scroll, pays_bridged=True, receipt={"l1Fee": "0x2540be400"})

SHAPES: Mapping[int, Shape] = {
    1: ETHEREUM,
    8453: OPTIMISM,
    42161: ARBITRUM,
    10: OPTIMISM,
    137: POLYGON,
    56: BNB,
    100: GNOSIS,
    43114: AVALANCHE,
    59144: LINEA,
    534352: SCROLL,
    42220: Shape(OPTIMISM.header, _of_celo, pays_bridged=True, receipt=_L1_FEES),
    11155111: ETHEREUM,
    84532: OPTIMISM,
}

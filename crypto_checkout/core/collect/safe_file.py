"""The file that Safe's Transaction Builder reads: transactions to propose to the owners of a Safe. Pure.

Its form, and the checksum by which the builder notices changes, are those of the builder's own exports (version 1.0).
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from crypto_checkout.core.address import checksum, keccak_256
from crypto_checkout.core.collect.batches import CollectBatch
from crypto_checkout.core.collect.contracts import COLLECTOR

Json = dict[str, Any]

_BUILDER_VERSION = "1.18.2"


def file(batches: Sequence[CollectBatch], chain_id: int, name: str, at: datetime) -> Json:
    """Return the file for transactions on one chain."""
    content: Json = {
        "version": "1.0",
        "chainId": str(chain_id),
        "createdAt": int(at.timestamp() * 1000),
        "meta": {
            "name": name,
            "description": "",
            "txBuilderVersion": _BUILDER_VERSION,
            "createdFromSafeAddress": "",
            "createdFromOwnerAddress": "",
        },
        "transactions": [_transaction(each) for each in batches],
    }
    return {**content, "meta": {**content["meta"], "checksum": file_checksum(content)}}


def file_checksum(content: Json) -> str:
    """Return the checksum of a file without one: of its keys and values in alphabetical order, its name left out."""
    nameless = {**content, "meta": {**content["meta"], "name": None}}
    return "0x" + keccak_256(_serialized(nameless).encode()).hex()


def _transaction(batch: CollectBatch) -> Json:
    return {
        "to": checksum(COLLECTOR.address),
        "value": "0",
        "data": "0x" + batch.data.hex(),
        "contractMethod": None,
        "contractInputsValues": None,
    }


def _serialized(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(_serialized(each) for each in value)}]"
    if isinstance(value, dict):
        names = sorted(value)
        listed = json.dumps(names, separators=(",", ":"), ensure_ascii=False)
        return f"{{{listed}{''.join(f'{_serialized(value[name])},' for name in names)}}}"
    return json.dumps(value, ensure_ascii=False)

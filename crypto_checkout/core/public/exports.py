"""The rows of accounting exports, one per payment, unmatched payment or collected amount, as CSV and JSON.

Reading payments is `services.reporting.exports`.

CSV follows RFC 4180: CRLF between lines, every field in quotes, quotes doubled. A cell that a spreadsheet would read as
a formula is prefixed with an apostrophe (OWASP, "CSV Injection"): emails, names and notes come from payers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from crypto_checkout.core import moments
from crypto_checkout.core.address import checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.collect.collection import COIN_DECIMALS, CollectedItem, Collection
from crypto_checkout.core.ledger.assess import Tip, counts
from crypto_checkout.core.ledger.payment import Payment
from crypto_checkout.core.money import format_minor, format_units
from crypto_checkout.core.public.render import decimal_text
from crypto_checkout.core.refunds.refund import Refund

Value = str | int | bool | Sequence[str] | Mapping[str, str] | None
Row = Mapping[str, Value]

BOM = "\ufeff"
"""The byte order mark, without which Excel doesn't read UTF-8."""

COLUMNS = (
    "time", "local_time", "time_zone", "session_id", "link_id", "customer_email", "session_status", "chain_id",
    "chain", "asset", "amount", "amount_units", "fiat_amount", "fiat_currency", "fee", "rate", "rate_pair",
    "rate_sources", "rate_observed_at", "transaction", "log_index", "block_number", "block_hash", "from_address",
    "to_address", "kind", "counted", "canonical", "confirmations", "transfers", "address_index", "address_path",
    "collection_id", "customer_name", "customer_note", "receipt_number", "quantity",
)  # fmt: skip
"""The columns in order, before those of chosen metadata. New ones go last: imports may refer to columns by position."""

UNMATCHED_COLUMNS = (
    "time", "local_time", "time_zone", "session_id", "chain_id", "chain", "asset", "token_contract", "amount",
    "amount_units", "transaction", "log_index", "block_number", "block_hash", "from_address", "to_address", "kind",
    "canonical", "transfers", "address_index", "address_path",
)  # fmt: skip
"""Likewise for unmatched payments."""

COLLECTED_COLUMNS = (
    "time", "local_time", "time_zone", "collection_id", "status", "way", "session_id", "chain_id", "chain", "asset",
    "token_contract", "amount", "amount_units", "fiat_amount", "fiat_currency", "transaction", "block_number",
    "from_address", "to_address", "fee_asset", "fee_amount", "fee_units", "fee_fiat_amount", "fee_fiat_currency",
)  # fmt: skip
"""Likewise for what was collected."""
REFUND_COLUMNS = (
    "time", "local_time", "time_zone", "refund_id", "session_id", "customer_email", "chain_id", "chain", "asset",
    "amount", "amount_units", "fiat_amount", "net_fiat_amount", "fiat_currency", "transaction", "log_index",
    "block_number", "to_address", "proof", "reason",
)  # fmt: skip
"""Likewise for paid refunds."""

# The last four are the full-width forms of the first four.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
# Spreadsheets trim these first, so a formula after them is still a formula.
_TRIMMED = " \u00a0\u200b\u2060\ufeff\u3000"


@dataclass(frozen=True, slots=True)
class ExportEntry:
    """A payment and its session in their current state, with the chain's last processed block and its name.

    `collection_id` is the first collection of its asset from its address since; None before there is one.
    """

    session: Session
    payment: Payment
    tip: Tip | None
    chain_name: str
    collection_id: str | None


@dataclass(frozen=True, slots=True)
class UnmatchedEntry:
    """An unmatched payment; `session` is the one that has its address, if any has.

    `asset` is None for one that isn't configured, whose decimals aren't known.
    """

    session: Session | None
    payment: Payment
    chain_id: int
    chain_name: str
    asset: Asset | None
    address_index: int | None
    address_path: str | None


def row(entry: ExportEntry, zone: tzinfo, zone_name: str) -> Row:
    """Return a payment's row, with local times in `zone`. Its fiat amount is its share of the price, counted or not."""
    session, transfer, tip = entry.session, entry.payment.transfer, entry.tip
    asset, rate = session.asset, session.rate
    return {
        "time": moments.to_text(transfer.block_time),
        "local_time": _local(transfer.block_time, zone),
        "time_zone": zone_name,
        "session_id": session.id,
        "link_id": session.link_id,
        "customer_email": session.options.customer_email,
        "session_status": session.status.value,
        "chain_id": asset.chain_id,
        "chain": entry.chain_name,
        "asset": asset.symbol,
        "amount": format_units(transfer.units, asset.decimals),
        "amount_units": str(transfer.units),
        "fiat_amount": format_minor(session.fiat_minor(transfer.units), session.fiat.currency),
        "fiat_currency": session.fiat.currency,
        "fee": format_minor(0, session.fiat.currency),
        "rate": decimal_text(rate.value),
        "rate_pair": f"{rate.base}/{rate.quote}",
        "rate_sources": rate.sources,
        "rate_observed_at": moments.to_text(rate.observed_at),
        "transaction": transfer.tx_hash,
        "log_index": transfer.log_index,
        "block_number": transfer.block_number,
        "block_hash": transfer.block_hash,
        "from_address": checksum(transfer.sender) if transfer.sender else None,
        "to_address": checksum(session.address),
        "kind": transfer.kind.value,
        "counted": counts(entry.payment, session),
        "canonical": entry.payment.canonical,
        "confirmations": tip.confirmations(transfer.block_number) if tip and entry.payment.canonical else 0,
        "transfers": entry.payment.dust or 1,
        "address_index": session.derivation_index,
        "address_path": session.address_path,
        "collection_id": entry.collection_id,
        "customer_name": session.options.customer_name,
        "customer_note": session.customer_note,
        "receipt_number": session.receipt_number,
        "quantity": session.quantity,
        "metadata": session.options.metadata,
    }


def unmatched_row(entry: UnmatchedEntry, zone: tzinfo, zone_name: str) -> Row:
    """Return an unmatched payment's row, with local times in `zone`. It has no fiat amount: it is part of no price."""
    session, transfer, asset = entry.session, entry.payment.transfer, entry.asset
    return {
        "time": moments.to_text(transfer.block_time),
        "local_time": _local(transfer.block_time, zone),
        "time_zone": zone_name,
        "session_id": session.id if session else None,
        "chain_id": entry.chain_id,
        "chain": entry.chain_name,
        "asset": asset.symbol if asset else None,
        "token_contract": checksum(transfer.contract) if transfer.contract else None,
        "amount": format_units(transfer.units, asset.decimals) if asset else None,
        "amount_units": str(transfer.units),
        "transaction": transfer.tx_hash,
        "log_index": transfer.log_index,
        "block_number": transfer.block_number,
        "block_hash": transfer.block_hash,
        "from_address": checksum(transfer.sender) if transfer.sender else None,
        "to_address": checksum(transfer.to),
        "kind": transfer.kind.value,
        "canonical": entry.payment.canonical,
        "transfers": entry.payment.dust or 1,
        "address_index": entry.address_index,
        "address_path": entry.address_path,
        "metadata": session.options.metadata if session else None,
    }


def collected_rows(
    collection: Collection, owners: Mapping[str, Session], chain_name: str, zone: tzinfo, zone_name: str
) -> list[Row]:
    """Return the rows of a collection, one for each amount; the fee is in the first, so that it adds up once.

    One that is in no block yet has none. What an amount was worth is told by the price of its session, if that asked
    for this asset.
    """
    if collection.block_time is None:
        return []
    fee = collection.fee
    no_fee: Row = dict.fromkeys(COLLECTED_COLUMNS[-5:])
    of_fee: Row = no_fee
    if fee is not None:
        of_fee = {
            "fee_asset": fee.asset,
            "fee_amount": format_units(fee.units, COIN_DECIMALS),
            "fee_units": str(fee.units),
            "fee_fiat_amount": str(fee.worth) if fee.worth else None,
            "fee_fiat_currency": fee.worth.currency if fee.worth else None,
        }
    return [
        {
            "time": moments.to_text(collection.block_time),
            "local_time": _local(collection.block_time, zone),
            "time_zone": zone_name,
            "collection_id": collection.id,
            "status": collection.status.value,
            "way": collection.way.value,
            **_collected(item, owners),
            "chain_id": collection.chain_id,
            "chain": chain_name,
            "transaction": collection.tx_hash,
            "block_number": collection.block_number,
            "to_address": checksum(collection.destination) if collection.destination else None,
            **(of_fee if place == 0 else no_fee),
        }
        for place, item in enumerate(collection.items)
    ]


def _collected(item: CollectedItem, owners: Mapping[str, Session]) -> Row:
    session = owners.get(item.session_id or "")
    is_priced = session is not None and session.asset == item.asset
    return {
        "session_id": item.session_id,
        "asset": item.asset.symbol,
        "token_contract": checksum(item.asset.contract) if item.asset.contract else None,
        "amount": format_units(item.units, item.asset.decimals),
        "amount_units": str(item.units),
        "fiat_amount": format_minor(session.fiat_minor(item.units), session.fiat.currency)
        if session is not None and is_priced
        else None,
        "fiat_currency": session.fiat.currency if session is not None and is_priced else None,
        "from_address": checksum(item.address),
        "metadata": session.options.metadata if session else None,
    }


def refund_row(refund: Refund, session: Session, chain_name: str, zone: tzinfo, zone_name: str) -> Row:
    """Return a paid refund's row, with local times in `zone`.

    Its fiat amount is its share of the session's price; null for another asset than the session's, which has no price.
    `net_fiat_amount` is what to add to the counted payments: negative, without what had come too late to count.
    """
    asset, payment = refund.asset, refund.payment
    is_own = (asset.chain_id, asset.contract) == (session.asset.chain_id, session.asset.contract)
    currency, at = session.fiat.currency, refund.paid_at or refund.updated_at
    net = session.fiat_minor(refund.counted_units)
    return {
        "time": moments.to_text(at),
        "local_time": _local(at, zone),
        "time_zone": zone_name,
        "refund_id": refund.id,
        "session_id": session.id,
        "customer_email": session.options.customer_email,
        "chain_id": asset.chain_id,
        "chain": chain_name,
        "asset": asset.symbol,
        "amount": format_units(refund.units, asset.decimals),
        "amount_units": str(refund.units),
        "fiat_amount": format_minor(session.fiat_minor(refund.units), currency) if is_own else None,
        "net_fiat_amount": ("-" if net else "") + format_minor(net, currency),
        "fiat_currency": currency,
        "transaction": refund.tx_hash,
        "log_index": payment.log_index if payment else None,
        "block_number": payment.block_number if payment else None,
        "to_address": checksum(refund.destination) if refund.destination else None,
        "proof": refund.proof.value,
        "reason": refund.reason,
        "metadata": session.options.metadata,
    }


def csv_head(columns: Sequence[str], metadata_keys: Sequence[str]) -> str:
    """Write the first line of a CSV file; the column of a metadata key is called `metadata.order`."""
    return csv_line([*columns, *(f"metadata.{key}" for key in metadata_keys)])


def csv_row(values: Row, columns: Sequence[str], metadata_keys: Sequence[str]) -> str:
    """Write a row as a line of CSV, with the chosen keys of its metadata in columns of their own."""
    metadata = values["metadata"]
    notes = metadata if isinstance(metadata, Mapping) else {}
    return csv_line([*(values[column] for column in columns), *(notes.get(key) for key in metadata_keys)])


def csv_line(values: Sequence[Value]) -> str:
    """Write a line of CSV, including the line break."""
    return ",".join(f'"{_cell(value)}"' for value in values) + "\r\n"


def json_object(row: Row) -> str:
    """Write a row as a JSON object with names in camelCase, as in the API: `fiat_amount` is `fiatAmount`.

    Its metadata is an object of its own, complete.
    """
    return json.dumps({_camel(name): value for name, value in row.items()}, ensure_ascii=False, default=dict)


def _cell(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case str():
            return _harmless(value).replace('"', '""')
        case _:
            return _harmless(" ".join(value)).replace('"', '""')


def _harmless(text: str) -> str:
    """Prefix text that a spreadsheet would run as a formula with an apostrophe, and remove NUL characters."""
    shown = text.replace("\0", "")
    return f"'{shown}" if shown.lstrip(_TRIMMED).startswith(_FORMULA) else shown


def _local(moment: datetime, zone: tzinfo) -> str:
    """Write a moment as spreadsheets read it. When clocks go back, only `time` tells the repeated hour apart."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)

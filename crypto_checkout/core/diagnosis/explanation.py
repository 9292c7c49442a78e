"""Explanations: a verdict in one sentence, advice, and the evidence in order of time.

This module has their parts, and the words that all of them share. The rules are in `core.diagnosis.explain_session` and
`core.diagnosis.explain_transaction`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.payment import Payment, Proof, Transfer, TransferKind
from crypto_checkout.core.money import format_units

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class PaymentOutcome(StrEnum):
    """The outcome of a payment, or of all payments of a session; `unknown` if ledger and chains don't tell."""

    COUNTED = "counted"
    WAITING = "waiting"
    NOT_COUNTED = "not_counted"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """The rule that decided an outcome."""

    ON_TIME = "on_time"
    IN_GRACE = "in_grace"
    ACCEPTED = "accepted"
    TOO_MUCH = "too_much"
    NOTHING_YET = "nothing_yet"
    TOO_LITTLE = "too_little"
    CONFIRMATIONS = "confirmations"
    AGREEMENT = "agreement"
    SECOND_READING = "second_reading"
    NOT_PROCESSED = "not_processed"
    NOT_MINED = "not_mined"
    TOO_LATE = "too_late"
    CLOSED = "closed"
    EXPIRED = "expired"
    REORGED = "reorged"
    REVERTED = "reverted"
    WRONG_ASSET = "wrong_asset"
    WRONG_CHAIN = "wrong_chain"
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - an ERC-20 token, not a secret
    NOT_OURS = "not_ours"
    NO_SESSION = "no_session"
    NOT_WATCHED = "not_watched"
    NOT_FOUND = "not_found"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class ExplanationStep:
    """A step with its evidence as names and values; `at` is None for the present state."""

    what: str
    facts: tuple[tuple[str, str], ...] = ()
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """An explanation: the rule that made something count, or the first that kept it from counting.

    `headline` is a sentence for the merchant, `steps` are the evidence, oldest first, and `sessions` the ids of the
    sessions it is about. If a `command` carries out the end of the `advice`, the advice has no full stop: the command
    line appends the command, and a page shows a button.
    """

    subject: str
    outcome: PaymentOutcome
    reason: Reason
    headline: str
    advice: str | None = None
    command: str | None = None
    steps: tuple[ExplanationStep, ...] = ()
    sessions: tuple[str, ...] = ()

    @property
    def advice_line(self) -> str | None:
        """The advice with its command, as the command line prints it; None without advice."""
        return f"{self.advice}: {self.command}" if self.command else self.advice


@dataclass(frozen=True, slots=True)
class RecordedPayment:
    """A payment in the ledger; `is_asked_for` is False for an unmatched one.

    `logged_units` is the amount in a token's log if it is more than what arrived, which is the payment's.
    """

    payment: Payment
    chain_id: int
    recorded_at: datetime
    is_asked_for: bool
    logged_units: int | None = None

    @property
    def arrived(self) -> str:
        """The way in which it came: its kind, or dust with the number of its transfers."""
        dust = self.payment.dust
        return (
            self.payment.transfer.kind.value if dust is None else f"dust in {dust:,} transfer{'s' if dust > 1 else ''}"
        )


@dataclass(frozen=True, slots=True)
class NamedChain:
    """A chain by its name in explanations, with the assets configured there."""

    name: str
    assets: tuple[Asset, ...] = ()


@dataclass(frozen=True, slots=True)
class ChainContext:
    """The context of the ledger: the configured chains by id, and the last processed block of each."""

    chains: Mapping[int, NamedChain]
    tips: Mapping[int, Tip]

    def chain(self, chain_id: int) -> str:
        """Name a chain."""
        place = self.chains.get(chain_id)
        return f"{place.name} (chain {chain_id})" if place else f"chain {chain_id}"

    def coins(self, transfer: Transfer, chain_id: int, own: Asset | None = None) -> str:
        """Write the amount of a transfer; an unknown token's stays in smallest units."""
        place = self.chains.get(chain_id)
        for asset in (*((own,) if own and own.chain_id == chain_id else ()), *(place.assets if place else ())):
            if asset.contract == transfer.contract:
                return amount(asset, transfer.units)
        if transfer.contract is None:
            return f"{format_units(transfer.units, 18)} of the native coin"
        return f"{transfer.units} units of the unknown token {checksum(transfer.contract)}"


def amount(asset: Asset, units: int) -> str:
    """Write an amount of an asset, like `0.01 ETH`."""
    return f"{format_units(units, asset.decimals)} {asset.symbol}"


def second(at: datetime) -> str:
    """Write a moment for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def span(time: timedelta) -> str:
    """Write a length of time in its two largest units: `12 minutes`, `1 hour 5 minutes`."""
    left, parts = int(abs(time.total_seconds())), []
    for seconds, name in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "less than a second"


def depth(tip: Tip | None, block_number: int, required: int) -> str:
    """Write the confirmations of a block: present, required and missing; or its finality, where the chain decides."""
    if tip is None:
        return "no block of this chain was processed yet"
    if tip.final_number is not None:
        state = "final" if tip.is_deep(block_number, required) else "not final yet"
        return f"{state}: the chain's own finality has reached block {tip.final_number}"
    had = tip.confirmations(block_number)
    left = max(0, required - had)
    return f"{min(had, required) if not left else had} of {required} confirmations" + (
        f", {left} more to come" if left else ""
    )


def of_transfer(transfer: Transfer, dust: int | None = None) -> tuple[tuple[str, str], ...]:
    """Return the evidence of a transfer, or of the sum of a block's dust: its place and time on the chain."""
    if dust is None:
        origin = (
            ("transaction", transfer.tx_hash or "not known: a contract, a block's reward or a withdrawal paid it"),
            *((("log", str(transfer.log_index)),) if transfer.log_index is not None else ()),
            ("from", _shown(transfer.sender)),
        )
    else:
        origin = (("transfers", f"{dust:,}, each worth too little to be listed (dust_below_fiat)"),)
    return (
        *origin,
        ("to", checksum(transfer.to)),
        *((("token", checksum(transfer.contract)),) if transfer.contract else ()),
        ("block", f"{transfer.block_number} {transfer.block_hash}"),
        ("block time", second(transfer.block_time)),
        *((("believed because", reason),) if (reason := _reason_to_believe(transfer)) else ()),
    )


def _reason_to_believe(transfer: Transfer) -> str | None:
    """Return why a transfer was credited: a proof, or the word of providers; None where that wasn't recorded."""
    if transfer.proof is None or transfer.agreeing is None:
        return None
    word = "taken on one provider's word" if transfer.agreeing == 1 else f"{transfer.agreeing} providers agree"
    if transfer.proof is Proof.PROVEN:
        return "proven by the block's own receipts root" + (f", and {word}" if transfer.agreeing > 1 else "")
    if transfer.kind is TransferKind.INTERNAL:
        return f"{word}: only balances show what contracts send, so no block proves it"
    return f"{word}: this chain's blocks can't be proven here"


def _shown(address: Address | None) -> str:
    return "not known" if address is None else checksum(address)

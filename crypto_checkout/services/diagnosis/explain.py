"""Gather the facts about a transaction, an address or a session from the ledger and the chains.

`core.diagnosis` puts them into words. It works beside a running server or without one, and without any node: the
explanation names the chains that couldn't be asked. Nothing is written.
"""

import asyncio
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address, checksum, parse
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.diagnosis import explain_session, explain_transaction, explain_unassigned
from crypto_checkout.core.diagnosis.explain_session import SessionChange, SessionLedger
from crypto_checkout.core.diagnosis.explain_transaction import (
    MOST_FINDINGS,
    ObservedTransaction,
    TransactionEvidence,
)
from crypto_checkout.core.diagnosis.explanation import (
    ChainContext,
    Explanation,
    NamedChain,
    PaymentOutcome,
    Reason,
    RecordedPayment,
)
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.store import paging
from crypto_checkout.store.checkout import sessions, unassigned
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import by_transaction, cursors, payments, tokens, unmatched
from crypto_checkout.store.ledger.by_transaction import FoundPayment
from crypto_checkout.store.webhooks import events

_SECONDS = 20.0
_MOST_EVENTS = 100
_TX_HASH = re.compile(r"0[xX][0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_SESSION = re.compile(r"cs_[0-9A-Za-z]+")


class TransactionReader(Protocol):
    """A chain as transactions are read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Return a transaction's effects; None if no node knows it. Raises RecoverableError."""

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Return once enough providers have shown these transfers. Raises ProviderFailed."""


class UnknownSubject(ValueError):
    """The subject is no transaction, no address and no session."""


@dataclass(frozen=True, slots=True)
class ConfiguredChain:
    """A chain to read transactions from, with its assets; its `confirm` asks several providers if it is set up so."""

    chain: TransactionReader
    accepted: AcceptedChain


class Explainer:
    """Explains payments; `configured` are the chains of both modes by their ids."""

    def __init__(self, db: Database, configured: Mapping[int, ConfiguredChain]) -> None:
        self._db = db
        self._configured = configured
        self._places = {chain_id: NamedChain(c.accepted.name, c.accepted.assets) for chain_id, c in configured.items()}

    async def of(self, subject: str, livemode: bool | None = None) -> Explanation:
        """Explain a subject: a transaction's hash, an address, or a session's id.

        With a mode, sessions of the other one are unknown. Raises UnknownSubject for anything else, and ValueError for
        an address with a wrong checksum.
        """
        subject = subject.strip()
        if _TX_HASH.fullmatch(subject):
            return await self.transaction(subject.lower(), livemode)
        if _ADDRESS.fullmatch(subject):
            return await self.address(parse(subject), livemode)
        if _SESSION.fullmatch(subject):
            return await self.session(subject, livemode)
        raise UnknownSubject(
            f'"{subject[:80]}" is nothing to explain: write a transaction (0x and 64 digits), an address (0x and 40), '
            "or a session (cs_…)."
        )

    async def session(self, session_id: str, livemode: bool | None = None) -> Explanation:
        """Explain a session."""

        def read(unit: ReadUnit) -> Explanation | None:
            session = sessions.get(unit, session_id, livemode)
            return None if session is None else self._session(unit, session)

        return await self._db.read(read) or Explanation(
            f"session {session_id}",
            PaymentOutcome.UNKNOWN,
            Reason.NOT_FOUND,
            "No such session is known here.",
            "crypto-checkout sessions list shows them; --config FILE names another server's configuration.",
        )

    async def address(self, address: Address, livemode: bool | None = None) -> Explanation:
        """Explain the payments to an address."""
        shown = checksum(address)

        def read(unit: ReadUnit) -> Explanation | None:
            session = _of_mode(sessions.at_addresses(unit, [address]), livemode).get(address)
            if session is not None:
                return explain_session.about_address(self._session(unit, session), shown)
            other = _unassigned(unit, [address], livemode).get(address)
            if other is not None:
                return explain_unassigned.address(other, unmatched.recorded_at(unit, address), self._known(unit))
            return None

        return await self._db.read(read) or Explanation(
            f"address {shown}",
            PaymentOutcome.UNKNOWN,
            Reason.NOT_OURS,
            "This server never gave out that address, so nothing that comes to it counts.",
            "Compare it with the session's: the payer may have copied another one.",
        )

    async def transaction(self, tx_hash: str, livemode: bool | None = None) -> Explanation:
        """Explain a transaction by the ledger, and by what each chain shows of it now."""
        seen, silent = await self._ask_all(tx_hash)
        evidence, known = await self._db.read(lambda unit: self._evidence(unit, tx_hash, seen, silent, livemode))
        disagreeing = await self._disagreeing(evidence, known)
        return explain_transaction.transaction(replace(evidence, disagreeing=disagreeing), known)

    # --- the chains ----------------------------------------------------------------------------------------------

    async def _ask_all(self, tx_hash: str) -> tuple[list[ObservedTransaction], dict[int, str]]:
        chain_ids = [*self._configured]
        answers = await asyncio.gather(*(self._ask(each, tx_hash) for each in chain_ids))
        seen = [answer for answer in answers if isinstance(answer, ObservedTransaction)]
        silent = {
            chain_id: answer for chain_id, answer in zip(chain_ids, answers, strict=True) if isinstance(answer, str)
        }
        return seen, silent

    async def _ask(self, chain_id: int, tx_hash: str) -> ObservedTransaction | str | None:
        """Return a transaction as a chain shows it; the reason (a text) if the chain can't be asked."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._configured[chain_id].chain.transaction(tx_hash)
        except TimeoutError:
            return f"no answer within {_SECONDS:g} s"
        except RecoverableError as error:
            return str(error)

    async def _disagreeing(self, evidence: TransactionEvidence, known: ChainContext) -> dict[Transfer, str]:
        """Return the transfers yet to be processed on which the providers don't agree, with the reason."""
        found: dict[Transfer, str] = {}
        for seen in evidence.observed:
            tip = known.tips.get(seen.chain_id)
            if seen.header is None or (tip is not None and tip.number >= seen.header.number):
                continue
            for transfer in [each for each in seen.transfers if each.to in evidence.owners][:MOST_FINDINGS]:
                try:
                    await self._configured[seen.chain_id].chain.confirm([transfer])
                except RecoverableError as error:
                    found[transfer] = str(error)
        return found

    # --- the ledger ----------------------------------------------------------------------------------------------

    def _evidence(
        self,
        unit: ReadUnit,
        tx_hash: str,
        seen: list[ObservedTransaction],
        silent: Mapping[int, str],
        livemode: bool | None,
    ) -> tuple[TransactionEvidence, ChainContext]:
        known = self._known(unit)
        found = [
            each for chain_id in known.tips for each in by_transaction.single(unit, chain_id, tx_hash, MOST_FINDINGS)
        ]
        receivers = {transfer.to for each in seen for transfer in each.transfers}
        owners = _of_mode(sessions.at_addresses(unit, receivers), livemode)
        others = _unassigned(unit, receivers - owners.keys(), livemode)
        dust = [
            each
            for block in seen
            if block.header is not None
            for each in by_transaction.dust(
                unit,
                block.chain_id,
                block.header.hash,
                [transfer for transfer in block.transfers if transfer.to in owners or transfer.to in others],
            )
        ]
        in_block = [
            each
            for block in seen
            if block.header is not None and not block.is_traced
            for each in by_transaction.single(unit, block.chain_id, block.header.hash, MOST_FINDINGS)
        ]
        return TransactionEvidence(
            tx_hash,
            seen,
            silent,
            recorded=_of_sessions(unit, found, livemode),
            owners=owners,
            unnamed=_of_sessions(unit, in_block, livemode),
            unassigned=others,
            at_unassigned=_of_unassigned(unit, [*found, *dust], livemode),
            dust=_of_sessions(unit, dust, livemode),
            in_dust=frozenset(transfer for each in dust for transfer in each.transfers),
            is_cut=len(found) >= MOST_FINDINGS,
        ), known

    def _session(self, unit: ReadUnit, session: Session) -> Explanation:
        known = self._known(unit)
        tip = known.tips.get(session.asset.chain_id)
        ledger = SessionLedger(
            [
                *tokens.with_logged(unit, session.id, payments.recorded(unit, session)),
                *unmatched.recorded(unit, session.id),
            ],
            received=None if tip is None else payments.received(unit, session, tip),
            newest_block=payments.shown(unit, session, tip).newest_block,
        )
        return explain_session.session(session, ledger, _changes(unit, session), known)

    def _known(self, unit: ReadUnit) -> ChainContext:
        return ChainContext(self._places, cursors.tips(unit))


def _of_sessions(
    unit: ReadUnit, found: Sequence[FoundPayment], livemode: bool | None
) -> list[tuple[Session, RecordedPayment]]:
    """Return the payments to sessions of a mode, or of any, each with its session."""
    owners = sessions.by_ids(unit, {each.session_id for each in found if each.session_id is not None})
    return [
        (owner, logged)
        for each in found
        if (owner := owners.get(each.session_id or "")) is not None and livemode in {None, owner.livemode}
        for logged in tokens.with_logged(unit, owner.id, [each.recorded])
    ]


def _of_unassigned(
    unit: ReadUnit, found: Sequence[FoundPayment], livemode: bool | None
) -> list[tuple[UnassignedAddress, RecordedPayment]]:
    """Return the payments to unassigned addresses of a mode, or of any, each with its address."""
    others = _unassigned(unit, {each.address for each in found if each.session_id is None}, livemode)
    return [(other, each.recorded) for each in found if (other := others.get(each.address)) is not None]


def _of_mode(found: Mapping[Address, Session], livemode: bool | None) -> dict[Address, Session]:
    return {address: each for address, each in found.items() if livemode is None or each.livemode is livemode}


def _unassigned(
    unit: ReadUnit, addresses: Collection[Address], livemode: bool | None
) -> dict[Address, UnassignedAddress]:
    found = unassigned.at_addresses(unit, addresses)
    return {address: each for address, each in found.items() if livemode is None or each.livemode is livemode}


def _changes(unit: ReadUnit, session: Session) -> list[SessionChange]:
    """Return a session's changes since its creation by its events, oldest first; old events may be deleted."""
    of_session = events.EventFilter(resource_id=session.id)
    page = events.bodies(unit, session.livemode, of_session, paging.Window(_MOST_EVENTS))
    changes = []
    for body in reversed(page.items):
        event = json.loads(body)
        data = event["data"]
        received = data["amountReceived"]
        changes.append(
            SessionChange(
                at=moments.from_text(event["createdAt"]),
                type=event["type"],
                status=data["status"],
                status_reason=data["statusReason"],
                received=f"{received['value']} {received['asset']}",
                confirmations=data["confirmations"],
            )
        )
    return [each for each in changes if each.type != "session.created"]

"""The payer's side of refunds: say where the money shall go, and prove that it is the payer who says so.

Knowing the link of a payment proves nothing. A signature of the account that paid does, or a code that was mailed to
the customer whom the session named before any money came. What isn't proven is shown to the owner as such, and claims
that contradict each other stand side by side. Nothing here approves anything.
"""

import hashlib
import hmac
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from crypto_checkout.core import ids
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.errors import MessageNotSent
from crypto_checkout.core.refunds import claims as rules
from crypto_checkout.core.refunds.claims import MOST_CLAIMS, Claim
from crypto_checkout.core.refunds.refund import DestinationProof, Refund, RefundStatus
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.session_reader import find
from crypto_checkout.services.refunds import destinations
from crypto_checkout.services.refunds.destinations import WrongDestination
from crypto_checkout.services.refunds.records import RefundRecords, find_refund, is_own_asset, received_units
from crypto_checkout.services.refunds.refunds import Refunds
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, unmatched
from crypto_checkout.store.refunds import claims as store
from crypto_checkout.store.refunds import refunds as refund_store

log = get_logger("refunds")

_CODE_DIGITS = 6
_MOST_TRIES = 5
_MOST_CODES = 5
_CODES_SINCE = timedelta(days=1)
_CODE_LIFETIME = timedelta(minutes=30)
_MOST_UNMATCHED = 100
_OPEN = frozenset({RefundStatus.AWAITING_ADDRESS, RefundStatus.AWAITING_APPROVAL})


class IsSigned(Protocol):
    """Tells whether an account signed a text; see `chain.wallet.signatures`."""

    def __call__(self, chain_id: int, account: Address, text: str, signature: str) -> Awaitable[bool]:
        """Answer for an account on a chain. Raises RecoverableError when the chain can't be asked."""


class RefundMail(Protocol):
    """Mails to payers, in the language of their page. Both raise MessageNotSent."""

    async def send_code(self, to: str, refund: Refund, destination: Address, code: str, language: str) -> None:
        """Mail a code that proves an address."""

    async def tell_approved(self, to: str, refund: Refund, language: str | None) -> None:
        """Tell the payer which address a refund goes to."""


class ClaimRefused(Exception):
    """A claim that can't be taken; `cause` is the key of the sentence for the payer."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Claimable:
    """Something to claim, or a refund under way.

    `key` names it in forms: a refund's id, or `CHAIN:CONTRACT` for what has no refund yet. `message` is the text to
    sign, with `{destination}` for the address in lower case, and `accounts` are those whose signature proves it.
    """

    key: str
    asset: Asset
    units: int
    refund: Refund | None
    claims: tuple[Claim, ...]
    message: str
    accounts: tuple[Address, ...]

    @property
    def is_open(self) -> bool:
        """True while an address can be given."""
        return self.refund is None or (
            self.refund.status in _OPEN and self.refund.proof is not DestinationProof.MERCHANT
        )


@dataclass(frozen=True, slots=True)
class ClaimPage:
    """All that the payer of a session can claim; `can_mail` where a code can prove it."""

    session: Session
    items: tuple[Claimable, ...]
    can_mail: bool


@dataclass(frozen=True, slots=True)
class MailedTo:
    """A refund, and the address for which a code was mailed."""

    refund_id: str
    destination: Address


class Claims:
    """The claims of both modes; `mail` is None unless a mail server is configured."""

    def __init__(
        self, db: Database, records: RefundRecords, refunds: Refunds, is_signed: IsSigned, mail: RefundMail | None
    ) -> None:
        self._db = db
        self._records = records
        self._refunds = refunds
        self._is_signed = is_signed
        self._mail = mail

    async def page(self, session_id: str) -> ClaimPage:
        """Return what the payer of a session can claim. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> ClaimPage:
            session = find(unit, session_id)
            return ClaimPage(session, tuple(self._items(unit, session)), self._can_mail(session))

        return await self._db.read(read)

    async def of_refund(self, livemode: bool, refund_id: str) -> list[Claim]:
        """Return the claims to a refund, oldest first. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> list[Claim]:
            return store.of_refund(unit, find_refund(unit, refund_id, livemode).id)

        return await self._db.read(read)

    async def give(
        self, session_id: str, key: str, address: str, *, language: str, account: str = "", signature: str = ""
    ) -> RefundStatus:
        """Store an address that a payer gave, with the signature that proves it if there is one.

        `language` is that of the payer's page, kept for the mails to come.

        Raises ResourceNotFound, ClaimRefused, and RecoverableError when a contract's signature can't be checked.
        """
        try:
            destination = destinations.read(address)
        except WrongDestination as error:
            raise ClaimRefused(error.cause) from None
        signer = None
        if signature:
            signer = await self._signer(session_id, key, destination, account, signature)

        def store_claim(unit: WriteUnit) -> RefundStatus:
            proof = DestinationProof.NONE if signer is None else DestinationProof.SIGNATURE
            sessions.note_language(unit, session_id, language)
            return self._claim(unit, session_id, key, destination, proof, signer)

        return await self._db.write(store_claim)

    async def send_code(self, session_id: str, key: str, address: str, language: str) -> MailedTo:
        """Mail the session's customer a code that proves an address, given before or not. Raises as `give` does.

        `language` is that of the payer's page, kept for the mails to come.

        Strangers may have used up the claims that need no proof: the payer can prove an address without one.
        """
        try:
            destination = destinations.read(address)
        except WrongDestination as error:
            raise ClaimRefused(error.cause) from None
        code = f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"

        def prepare(unit: WriteUnit) -> tuple[str, Refund]:
            session = find(unit, session_id)
            item = self._open_item(unit, session, key)
            if not self._can_mail(session):
                raise ClaimRefused("gone")
            self._check_destination(unit, item, destination)
            if store.count_codes(unit, session_id, unit.now - _CODES_SINCE) >= _MOST_CODES:
                raise ClaimRefused("too_many_codes")
            refund = item.refund or self._new_refund(unit, session, item)
            store.insert_code(unit, refund.id, session_id, destination, _hashed(session_id, code))
            sessions.note_language(unit, session_id, language)
            return session.options.customer_email or "", refund

        to, refund = await self._db.write(prepare)
        assert self._mail is not None, "else there are no codes"
        try:
            await self._mail.send_code(to, refund, destination, code, language)
        except MessageNotSent as error:
            log.warning("a code wasn't mailed", refund=refund.id, error=str(error))
            raise ClaimRefused("mail_failed") from None
        return MailedTo(refund.id, destination)

    async def confirm_code(self, session_id: str, key: str, address: str, code: str) -> RefundStatus:
        """Take the code of a mail as proof of an address, if it was mailed for that one. Raises as `give` does.

        The page says which address is meant: a code for a stranger's proves nothing beside the payer's own.
        """
        try:
            destination = destinations.read(address)
        except WrongDestination as error:
            raise ClaimRefused(error.cause) from None

        def confirm(unit: WriteUnit) -> RefundStatus | None:
            session = find(unit, session_id)
            item = self._open_item(unit, session, key)
            mailed = store.newest_code(unit, session_id, key, destination, unit.now - _CODE_LIFETIME)
            if item.refund is None or mailed is None or mailed.tries >= _MOST_TRIES:
                return None
            if not hmac.compare_digest(mailed.code_sha256, _hashed(session_id, code.strip())):
                store.note_wrong_code(unit, mailed.seq)
                return None
            store.use_up(unit, mailed.seq)
            return self._claim(unit, session_id, key, destination, DestinationProof.EMAIL, None)

        status = await self._db.write(confirm)
        if status is None:
            raise ClaimRefused("bad_code")
        return status

    async def tell_approved(self, refund_id: str) -> None:
        """Tell the customer by mail, where there is one, which address was approved; a failure is logged."""

        def read(unit: ReadUnit) -> tuple[Refund, Session] | None:
            refund = refund_store.get(unit, refund_id)
            return None if refund is None else (refund, find(unit, refund.session_id))

        found = await self._db.read(read)
        if found is None or self._mail is None:
            return
        refund, session = found
        to = session.options.customer_email
        if to is None:
            return
        try:
            await self._mail.tell_approved(to, refund, session.payer_language)
        except MessageNotSent as error:
            log.warning("a payer wasn't told of an approved refund", refund=refund_id, error=str(error))

    def _can_mail(self, session: Session) -> bool:
        return self._mail is not None and session.options.customer_email is not None

    async def _signer(self, session_id: str, key: str, destination: Address, account: str, signature: str) -> Address:
        page = await self.page(session_id)
        item = next((each for each in page.items if each.key == key and each.is_open), None)
        if item is None:
            raise ClaimRefused("gone")
        signer = next((each for each in item.accounts if each == account.strip().lower()), None)
        if signer is None:
            raise ClaimRefused("bad_account")
        text = item.message.replace("{destination}", destination)
        if not await self._is_signed(item.asset.chain_id, signer, text, signature):
            raise ClaimRefused("bad_signature")
        return signer

    def _claim(
        self,
        unit: WriteUnit,
        session_id: str,
        key: str,
        destination: Address,
        proof: DestinationProof,
        signer: Address | None,
    ) -> RefundStatus:
        session = find(unit, session_id)
        item = self._open_item(unit, session, key)
        if signer is not None and signer not in item.accounts:
            raise ClaimRefused("bad_account")
        self._check_destination(unit, item, destination)
        is_known = any((each.destination, each.proof) == (destination, proof) for each in item.claims)
        if not is_known and store.count(unit, session_id, proof) >= MOST_CLAIMS:
            raise ClaimRefused("too_many")
        refund = item.refund or self._new_refund(unit, session, item)
        claim = Claim(unit.new_id(ids.CLAIM), refund.id, session_id, destination, proof, signer, unit.now)
        if not store.insert(unit, claim):
            return refund.status
        chosen = rules.best(store.of_refund(unit, refund.id))
        assert chosen is not None, "there is one at least"
        given = replace(
            refund,
            destination=chosen.destination,
            proof=chosen.proof,
            status=RefundStatus.AWAITING_APPROVAL,
            updated_at=unit.now,
        )
        self._records.update(unit, given, EventType.REFUND_ADDRESS_GIVEN)
        return given.status

    def _check_destination(self, unit: ReadUnit, item: Claimable, destination: Address) -> None:
        try:
            destinations.check(unit, self._refunds.accepted, item.asset.chain_id, destination)
        except WrongDestination as error:
            raise ClaimRefused(error.cause) from None

    def _new_refund(self, unit: WriteUnit, session: Session, item: Claimable) -> Refund:
        refund = Refund(
            id=unit.new_id(ids.REFUND),
            livemode=session.livemode,
            session_id=session.id,
            asset=item.asset,
            units=item.units,
            required_confirmations=self._refunds.confirmations(session, item.asset),
            reason=None,
            destination=None,
            proof=DestinationProof.NONE,
            status=RefundStatus.AWAITING_ADDRESS,
            created_at=unit.now,
            updated_at=unit.now,
        )
        self._records.insert(unit, session, refund)
        return refund

    def _open_item(self, unit: ReadUnit, session: Session, key: str) -> Claimable:
        """Return something that an address can be given for. Raises ClaimRefused."""
        for item in self._items(unit, session):
            if item.key == key and item.is_open:
                return item
        raise ClaimRefused("gone")

    def _items(self, unit: ReadUnit, session: Session) -> Sequence[Claimable]:
        """Return the refunds of a session that aren't canceled, and what can be claimed beside them."""
        refunds = [
            each for each in refund_store.of_session(unit, session.id) if each.status is not RefundStatus.CANCELED
        ]
        found = [self._item(unit, session, each.asset, each.units, each) for each in refunds]
        for asset in self._assets(unit, session):
            units = self._claimable_units(unit, session, asset)
            if units > 0:
                found.append(self._item(unit, session, asset, units, None))
        return found

    def _assets(self, unit: ReadUnit, session: Session) -> Sequence[Asset]:
        """Return the assets in which something came to a session's address."""
        assets = [session.asset]
        for each in unmatched.newest(unit, session.id, _MOST_UNMATCHED):
            chain = self._refunds.chain(each.chain_id)
            contract = each.payment.transfer.contract
            known = () if chain is None else chain.assets
            assets += [asset for asset in known if asset.contract == contract and asset not in assets]
        return [each for each in assets if each is session.asset or not is_own_asset(session, each)]

    def _claimable_units(self, unit: ReadUnit, session: Session, asset: Asset) -> int:
        confirmations = self._refunds.confirmations(session, asset)
        received = received_units(unit, session, asset, confirmations)
        promised = refund_store.promised_units(unit, session.id, asset)
        if not is_own_asset(session, asset):
            return received - promised
        return min(rules.claimable_units(session, received, unit.now), received) - promised

    def _item(self, unit: ReadUnit, session: Session, asset: Asset, units: int, refund: Refund | None) -> Claimable:
        confirmations = self._refunds.confirmations(session, asset)
        tip = cursors.tip(unit, asset.chain_id)
        deep_to = -1 if tip is None else tip.deep_to(confirmations)
        paid = refund_store.received_by_sender(unit, session.id, asset, deep_to)
        used = self._signed_units(unit, session, asset, refund)
        key = f"{asset.chain_id}:{asset.contract or ''}" if refund is None else refund.id
        return Claimable(
            key=key,
            asset=asset,
            units=units,
            refund=refund,
            claims=() if refund is None else tuple(store.of_refund(unit, refund.id)),
            message=rules.message(session.id, asset, units, "{destination}", self._records.public_url),
            # Who paid less than what goes back may be a stranger who sent dust to sign for it.
            accounts=tuple(sorted(sender for sender, total in paid.items() if total - used[sender] >= units)),
        )

    def _signed_units(
        self, unit: ReadUnit, session: Session, asset: Asset, but: Refund | None
    ) -> Mapping[Address, int]:
        """Return what goes back to each account already, by its signature to other refunds of a session."""
        used: dict[Address, int] = defaultdict(int)
        for refund in refund_store.of_session(unit, session.id):
            is_other = but is None or refund.id != but.id
            is_same = (refund.asset.chain_id, refund.asset.contract) == (asset.chain_id, asset.contract)
            if is_other and is_same and refund.status is not RefundStatus.CANCELED:
                signed = [each for each in store.of_refund(unit, refund.id) if each.destination == refund.destination]
                for signer in {each.signer for each in signed if each.signer is not None}:
                    used[signer] += refund.units
        return used


def _hashed(session_id: str, code: str) -> str:
    return hashlib.sha256(f"{session_id}/{code}".encode()).hexdigest()

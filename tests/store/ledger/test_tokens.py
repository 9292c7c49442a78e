"""Token payments that no log shows, beside dust and beside logs that show up later: each is kept, and counts once."""

from pathlib import Path

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.ledger import payments, tokens
from crypto_checkout.store.migrate import migrate
from tests.support.factories import a_session, a_transfer
from tests.support.shop import now

TOKEN = Address("0x" + "70" * 20)
SESSION = a_session(asset=Asset(1, "USDC", 6, TOKEN))
UNNAMED = a_transfer(kind=TransferKind.TOKEN, contract=TOKEN, tx_hash=None, units=100, provisional_balance=100)
LOGGED = a_transfer(kind=TransferKind.TOKEN, contract=TOKEN, log_index=4, units=60)


def amounts(unit: WriteUnit) -> list[tuple[int, bool]]:
    """Return the payments of the session in canonical blocks: their units, and whether a transaction is known."""
    found = payments.recorded(unit, SESSION)
    kept = [each.payment.transfer for each in found if each.payment.canonical]
    return sorted((each.units, each.tx_hash is not None) for each in kept)


async def test_an_unnamed_payment_and_dust_in_one_block_are_two(tmp_path: Path) -> None:
    migrate(tmp_path / "checkout.db")

    def write(unit: WriteUnit) -> None:
        sessions.insert(unit, SESSION)
        assert payments.record(unit, SESSION, UNNAMED)
        assert payments.record_dust(unit, SESSION, [a_transfer(**_dust(1)), a_transfer(**_dust(2))])
        assert amounts(unit) == [(3, False), (100, False)]
        (credit,) = tokens.provisional(unit, 1)
        assert (credit.units, credit.provisional_balance) == (100, 100), "dust is no unnamed credit"
        assert payments.record(unit, SESSION, UNNAMED), "more of it came in the same block"
        assert amounts(unit) == [(3, False), (200, False)]

    async with await Database.open(tmp_path / "checkout.db", now) as db:
        await db.write(write)


async def test_a_log_takes_the_place_of_an_unnamed_payment_up_to_its_amount(tmp_path: Path) -> None:
    migrate(tmp_path / "checkout.db")

    def write(unit: WriteUnit) -> None:
        sessions.insert(unit, SESSION)
        payments.record(unit, SESSION, UNNAMED)
        later = a_transfer(kind=TransferKind.TOKEN, contract=TOKEN, log_index=4, units=60, block_number=11)
        assert payments.record(unit, SESSION, later)
        assert amounts(unit) == [(60, True), (100, False)], "a later block's log is another payment"
        other = a_transfer(kind=TransferKind.TOKEN, contract=TOKEN, log_index=5, units=60)
        assert payments.record(unit, SESSION, other)
        assert amounts(unit) == [(40, False), (60, True), (60, True)]
        assert not payments.record(unit, SESSION, other)
        assert amounts(unit) == [(40, False), (60, True), (60, True)], "once"

    async with await Database.open(tmp_path / "checkout.db", now) as db:
        await db.write(write)


async def test_a_corrected_payment_that_is_mined_again_has_the_amount_of_its_log(tmp_path: Path) -> None:
    migrate(tmp_path / "checkout.db")

    def write(unit: WriteUnit) -> None:
        sessions.insert(unit, SESSION)
        payments.record(unit, SESSION, LOGGED)
        (logged,) = tokens.logged(unit, SESSION.id)
        tokens.correct(unit, logged, 58)
        (recorded,) = tokens.with_logged(unit, SESSION.id, payments.recorded(unit, SESSION))
        assert (recorded.payment.transfer.units, recorded.logged_units) == (58, 60)
        assert not payments.record(unit, SESSION, LOGGED), "shown again"
        assert amounts(unit) == [(58, True)]
        payments.orphan_above(unit, 1, 9)
        payments.record(unit, SESSION, LOGGED)
        (recorded,) = tokens.with_logged(unit, SESSION.id, payments.recorded(unit, SESSION))
        assert (recorded.payment.transfer.units, recorded.logged_units) == (60, None)

    async with await Database.open(tmp_path / "checkout.db", now) as db:
        await db.write(write)


def _dust(units: int) -> dict[str, object]:
    return {
        "kind": TransferKind.TOKEN, "contract": TOKEN, "log_index": 10 + units, "units": units,
        "tx_hash": f"0x{units:064x}",
    }  # fmt: skip

"""Claims of payers: what proves an address, what outranks what, and what a stranger with the link can't do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from crypto_checkout.chain.wallet import signatures
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.refunds.claims import MOST_CLAIMS
from crypto_checkout.services.refunds.claims import ClaimRefused, Claims
from crypto_checkout.services.refunds.refunds import RefundRequest
from tests.services.refunds.test_recognition import Refunding, refunding
from tests.support.anvil import Anvil
from tests.support.shop import ANVIL_CHAIN_ID, ONE_COIN, pay

Nodes = Callable[..., Anvil]
Account.enable_unaudited_hdwallet_features()
WORDS = "test test test test test test test test test test test junk"
SAYS_YES = "0x631626ba7e60e01b60005260206000f3"
SAYS_NO = "0x60206000f3"
MINE = "0x00000000000000000000000000000000000decaf"
MINE_TOO = "0x00000000000000000000000000000000000dec0f"
THEIRS = "0x000000000000000000000000000000000bad0bad"


def wallet(number: int) -> LocalAccount:
    """Return one of the node's accounts with its key."""
    account: LocalAccount = Account.from_mnemonic(WORDS, account_path=f"m/44'/60'/0'/0/{number}")
    return account


class Claiming:
    """A shop whose payers claim what they paid too much."""

    def __init__(self, it: Refunding) -> None:
        self.it = it

        async def is_signed(chain_id: int, account: Address, text: str, signature: str) -> bool:
            assert chain_id == ANVIL_CHAIN_ID
            return await signatures.is_signed(text, signature, account, it.shop.chain.ask_stranger)

        self.claims = Claims(it.shop.db, it.shop.refund_records, it.refunds, is_signed, None)

    async def overpaid(self, wei: int = 2 * ONE_COIN) -> SessionResource:
        session = await self.it.shop.ask()
        pay(self.it.node, session, wei)
        await self.it.follow()
        return session

    async def key(self, session: SessionResource) -> str:
        (item,) = (await self.claims.page(session["id"])).items
        return item.key

    async def give(self, session: SessionResource, address: str, number: int | None = None, says: str = "") -> None:
        (item,) = (await self.claims.page(session["id"])).items
        account = signature = ""
        if number is not None:
            signer = wallet(number)
            text = item.message.replace("{destination}", (says or address).lower())
            signature = signer.sign_message(encode_defunct(text=text)).signature.hex()
            account = signer.address
        await self.claims.give(session["id"], item.key, address, account=account, signature=signature, language="en")

    async def shown(self, session: SessionResource) -> tuple[str | None, str, str]:
        (item,) = (await self.claims.page(session["id"])).items
        assert item.refund is not None
        refund = await self.it.look(item.refund.id)
        return refund["destination"], refund["proof"], refund["status"]


async def test_the_account_that_paid_proves_an_address_and_outranks_who_was_faster(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session = await shop.overpaid()
        (item,) = (await shop.claims.page(session["id"])).items
        assert (item.units, item.refund) == (ONE_COIN, None)
        assert [checksum(each) for each in item.accounts] == [wallet(9).address]
        await shop.give(session, THEIRS)
        assert await shop.shown(session) == (checksum(Address(THEIRS)), "none", "awaiting_approval")
        await shop.give(session, MINE, 9)
        assert await shop.shown(session) == (checksum(Address(MINE)), "signature", "awaiting_approval")
        await shop.give(session, "0x000000000000000000000000000000000bad0bae")
        assert await shop.shown(session) == (checksum(Address(MINE)), "signature", "awaiting_approval")
        await shop.give(session, MINE_TOO, 9)
        assert (await shop.shown(session))[0] == checksum(Address(MINE_TOO)), "who signs may correct the address"
        (item,) = (await shop.claims.page(session["id"])).items
        assert len(item.claims) == 4, "all stand side by side"


async def test_a_signature_is_good_for_its_payment_its_address_and_its_account_only(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session, other = await shop.overpaid(), await shop.overpaid(3 * ONE_COIN)
        with pytest.raises(ClaimRefused, match="bad_signature"):
            await shop.give(session, THEIRS, 9, says=MINE)
        with pytest.raises(ClaimRefused, match="bad_account"):
            await shop.give(session, MINE, 8)
        (item,) = (await shop.claims.page(session["id"])).items
        text = item.message.replace("{destination}", MINE)
        assert all(part in text for part in (session["id"], "1 ETH", "chain 31337", "http://x"))
        signature = wallet(9).sign_message(encode_defunct(text=text)).signature.hex()
        for account, signed in ((wallet(9).address, "0x12"), (wallet(9).address, "no hex"), ("", signature)):
            with pytest.raises(ClaimRefused):
                await shop.claims.give(session["id"], item.key, MINE, account=account, signature=signed, language="en")
        with pytest.raises(ClaimRefused, match="bad_signature"):
            await shop.claims.give(
                other["id"], await shop.key(other), MINE, account=wallet(9).address, signature=signature, language="en"
            )
        await shop.claims.give(
            session["id"], item.key, MINE, account=wallet(9).address, signature=signature, language="en"
        )
        assert (await shop.shown(session))[1] == "signature"


async def test_a_stranger_who_paid_a_little_can_not_sign_for_the_rest(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session = await it.shop.ask()
        pay(node, session, 2 * ONE_COIN)
        node.send(node.accounts[8], session["address"], 10**15)
        await it.follow()
        with pytest.raises(ClaimRefused, match="bad_account"):
            await shop.give(session, THEIRS, 8)
        await shop.give(session, MINE, 9)


async def test_what_an_account_paid_proves_one_refund_and_not_the_next(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session = await it.shop.ask()
        pay(node, session, ONE_COIN)
        node.send(node.accounts[8], session["address"], ONE_COIN)
        await it.follow()
        part = RefundRequest(session["id"], amount="1")
        first, second = [(await it.shop.db.write(it.refunds.create(True, part)))["id"] for _ in range(2)]

        async def sign(refund_id: str, number: int, address: str) -> None:
            page = await shop.claims.page(session["id"])
            (item,) = (each for each in page.items if each.key == refund_id)
            text = item.message.replace("{destination}", address)
            signature = wallet(number).sign_message(encode_defunct(text=text)).signature.hex()
            await shop.claims.give(
                session["id"], refund_id, address, account=wallet(number).address, signature=signature, language="en"
            )

        await sign(first, 8, THEIRS)
        with pytest.raises(ClaimRefused, match="bad_account"):
            await sign(second, 8, THEIRS)
        await sign(second, 9, MINE)
        await it.shop.db.write(await it.refunds.cancel(True, first))
        third = (await it.shop.db.write(it.refunds.create(True, part)))["id"]
        await sign(third, 8, THEIRS)


async def test_five_claims_of_strangers_leave_room_for_the_payers_proof(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session = await shop.overpaid()
        for number in range(MOST_CLAIMS):
            await shop.give(session, f"0x{0xBAD0BAD0 + number:040x}")
        with pytest.raises(ClaimRefused, match="too_many"):
            await shop.give(session, MINE)
        await shop.give(session, f"0x{0xBAD0BAD0:040x}")  # no new one
        await shop.give(session, MINE, 9)
        assert (await shop.shown(session))[:2] == (checksum(Address(MINE)), "signature")


async def test_a_contract_that_paid_vouches_for_its_address(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session = await shop.overpaid()
        (item,) = (await shop.claims.page(session["id"])).items
        signed = {"account": node.accounts[9], "signature": "0x" + "ab" * 130}
        for code, is_taken in ((SAYS_NO, False), (SAYS_YES, True)):
            node.rpc("anvil_setCode", node.accounts[9], code)
            node.mine()
            if is_taken:
                await shop.claims.give(session["id"], item.key, MINE, **signed, language="en")
            else:
                with pytest.raises(ClaimRefused, match="bad_signature"):
                    await shop.claims.give(session["id"], item.key, MINE, **signed, language="en")
        assert (await shop.shown(session))[1] == "signature"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("0x5b600056", id="burns all gas"),
        pytest.param("0xfe", id="is invalid"),
        pytest.param("0x01", id="underflows"),
        pytest.param("0x7f" + b"too many requests".ljust(32).hex() + "60005260206000fd", id="reverts with words"),
        pytest.param("0x6210000060003660003760006000f3", id="answers nothing"),
        pytest.param("0x62100000" + "6000f3", id="answers much"),
    ],
)
async def test_a_contract_that_fails_is_no_signature_and_blames_no_provider(
    anvil: Nodes, tmp_path: Path, code: str
) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session = await shop.overpaid()
        key = await shop.key(session)
        node.rpc("anvil_setCode", node.accounts[9], code)
        with pytest.raises(ClaimRefused, match="bad_signature"):
            await shop.claims.give(
                session["id"], key, MINE, account=node.accounts[9], signature="0x" + "ab" * 65, language="en"
            )
        assert [(each.failures, each.is_resting) for each in it.shop.chain.health()] == [(0, False)]


async def test_an_approved_address_is_fixed(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        session = await shop.overpaid()
        await shop.give(session, THEIRS)
        (item,) = (await shop.claims.page(session["id"])).items
        assert item.refund is not None
        await it.shop.db.write(it.refunds.approve(True, item.refund.id, THEIRS, item.refund.proof))
        with pytest.raises(ClaimRefused, match="gone"):
            await shop.give(session, MINE, 9)
        assert (await shop.shown(session))[0] == checksum(Address(THEIRS))


async def test_nothing_is_to_claim_while_the_price_is_paid_or_can_still_be(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        shop = Claiming(it)
        paid, short = await it.paid_session(), await it.shop.ask()
        pay(node, short, ONE_COIN // 2)
        await it.follow()
        assert (await it.shop.look(short))["status"] == "underpaid"
        assert [(await shop.claims.page(each["id"])).items for each in (paid, short)] == [(), ()]
        with pytest.raises(ClaimRefused, match="gone"):
            await shop.claims.give(paid["id"], "31337:", MINE, language="en")

"""Signing plans: for the wallet that they are of, nothing but what they say, and never a word in a message."""

from dataclasses import replace

import pytest
from eth_account import Account
from eth_account.hdaccount.mnemonic import Mnemonic
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_account.types import Language
from hexbytes import HexBytes

from crypto_checkout.chain.wallet import signing
from crypto_checkout.chain.wallet.signing import WordsInvalid
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect import plan as plans
from crypto_checkout.core.collect import plan_file
from crypto_checkout.core.collect.contracts import delegate
from crypto_checkout.core.collect.plan import Plan, PlanInvalid, Way
from tests.support.plans import DESTINATION, WORDS, a_plan
from tests.support.wallets import xpub_of

OTHER_WORDS = "test test test test test test test test test test test junk"
FRENCH = Mnemonic(Language.FRENCH).to_mnemonic(bytes(16))


@pytest.mark.parametrize("way", Way)
def test_every_transaction_is_signed_by_the_account_that_eth_account_derives(way: Way) -> None:
    Account.enable_unaudited_hdwallet_features()
    plan = a_plan(way)

    signed = signing.sign(plan, WORDS, "")

    for expected, given in zip(plans.transactions(plan), signed.transactions, strict=True):
        place = "1/0" if expected.index is None else f"0/{expected.index}"
        account = Account.from_mnemonic(WORDS, account_path=f"m/44'/60'/0'/{place}")
        assert Account.recover_transaction(given.raw) == account.address
        assert account.address.lower() == expected.sender
    signing.verify(plan_file.read_signed(plan_file.signed_text(signed)))


def test_authorizations_are_for_this_chain_and_the_destinations_own_contract() -> None:
    plan = a_plan(Way.EIP_7702)

    batch = signing.sign(plan, WORDS, "").transactions[1]

    consents = TypedTransaction.from_bytes(HexBytes(batch.raw)).as_dict()["authorizationList"]
    assert [each["chainId"] for each in consents] == [plan.chain_id] * 2
    to = delegate(DESTINATION).address
    assert {"0x" + bytes(each["address"]).hex() for each in consents} == {to}


@pytest.mark.parametrize(
    "words", ["", "hello", WORDS.replace("yellow", "winner"), WORDS.rsplit(" ", 1)[0], f"{WORDS} secretword"]
)
def test_words_that_are_no_phrase_are_refused_and_not_repeated(words: str) -> None:
    with pytest.raises(WordsInvalid) as caught:
        signing.sign(a_plan(Way.EIP_7702), words, "")

    assert not any(word in str(caught.value) for word in ("winner", "secretword", "hello"))


@pytest.mark.parametrize(("words", "passphrase"), [(OTHER_WORDS, ""), (WORDS, "a passphrase"), (FRENCH, "")])
def test_another_wallets_words_are_refused(words: str, passphrase: str) -> None:
    with pytest.raises(PlanInvalid, match="another wallet") as caught:
        signing.sign(a_plan(Way.EIP_7702), words, passphrase)

    assert "junk" not in str(caught.value)
    assert "passphrase)" in str(caught.value)


def test_words_may_be_typed_with_more_spaces() -> None:
    signing.sign(a_plan(Way.EIP_7702), f"  {WORDS.replace(' ', '  ')}\n", "")


def test_an_address_that_is_not_the_wallets_is_refused() -> None:
    plan = a_plan(Way.EIP_7702)
    strange = replace(plan.items[0], address=Address("0x" + "ee" * 20))

    with pytest.raises(PlanInvalid, match="index 0 of this wallet is"):
        signing.sign(replace(plan, items=(strange, *plan.items[1:])), WORDS, "")


def test_gas_is_paid_by_the_wallet_itself_only() -> None:
    plan = a_plan(Way.EIP_7702)

    with pytest.raises(PlanInvalid, match="no account of this wallet"):
        signing.sign(replace(plan, fuel=replace(plan.fuel, address=Address("0x" + "ee" * 20))), WORDS, "")


def test_a_receiving_chains_key_has_its_last_index_pay_for_gas() -> None:
    receiving = ExtendedPublicKey.parse(xpub_of(WORDS)).child(0)
    plan = a_plan(Way.EIP_7702)

    fuel = signing.fuel_address(ExtendedPublicKey.parse(str(receiving)))
    signed = signing.sign(replace(plan, fuel=replace(plan.fuel, address=fuel)), WORDS, "")

    assert Account.recover_transaction(signed.transactions[0].raw).lower() == fuel == receiving.address(2**31 - 1)


@pytest.mark.parametrize("change", ["other", "raw", "order", "fees"])
def test_a_signed_plan_with_other_transactions_is_refused(change: str) -> None:
    plan = a_plan(Way.TRANSFERS)
    signed = signing.sign(plan, WORDS, "")
    first, second, *rest = signed.transactions
    changed = {
        "other": replace(signed, transactions=(second, second, *rest)),
        "raw": replace(signed, transactions=(replace(first, raw=first.raw[:-2] + "00"), second, *rest)),
        "order": replace(signed, transactions=(second, first, *rest)),
        "fees": replace(signed, plan=_dearer(plan)),
    }[change]

    with pytest.raises(PlanInvalid, match="transaction 0x"):
        signing.verify(changed)


def _dearer(plan: Plan) -> Plan:
    return replace(plan, fees=replace(plan.fees, per_gas=plan.fees.per_gas + 1))

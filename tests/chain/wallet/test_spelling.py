"""Keys as wallets and people write them: accepted, or refused for what they are.

The keys themselves come from the bip32 package, which shares no code with ours.
"""

import json
from typing import Any

import pytest

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from tests.support.wallets import xpub_of

bip32 = pytest.importorskip("bip32")

WORDS = "test test test test test test test test test test test junk"
ACCOUNT = xpub_of(WORDS)


def _tree() -> Any:
    from eth_account.hdaccount import seed_from_mnemonic

    return bip32.BIP32.from_seed(seed_from_mnemonic(WORDS, ""))


TREE = _tree()
RECEIVING = TREE.get_xpub_from_path("m/44'/60'/0'/0")
CHANGE = TREE.get_xpub_from_path("m/44'/60'/0'/1")
SECOND = TREE.get_xpub_from_path("m/44'/60'/1'")
SINGLE = TREE.get_xpub_from_path("m/44'/60'/0'/0/0")
BITCOIN = TREE.get_xpub_from_path("m/44'/0'/0'")
FINGERPRINT = TREE.get_fingerprint().hex()
ORIGIN = f"[{FINGERPRINT}/44'/60'/0']"
TREZOR = {
    "success": True,
    "payload": {
        "path": [2147483692, 2147483708, 2147483648],
        "serializedPath": "m/44'/60'/0'",
        "xpub": ACCOUNT,
        "publicKey": "02" + "4f" * 32,
        "depth": 3,
    },
}

SAME = {
    "with the steps to its addresses": f"{ACCOUNT}/0/*",
    "with the receiving chain": f"{ACCOUNT}/0",
    "with both chains": f"{ACCOUNT}/<0;1>/*",
    "with both chains, in short": f"{ACCOUNT}/**",
    "the receiving chain with its steps": f"{RECEIVING}/*",
    "with its origin": f"{ORIGIN}{ACCOUNT}",
    "a descriptor": f"{ORIGIN}{ACCOUNT}/0/*",
    "a descriptor with h": f"[{FINGERPRINT}/44h/60H/0h]{ACCOUNT}/0/*",
    "a descriptor of the receiving chain": f"[{FINGERPRINT}/44'/60'/0'/0]{RECEIVING}/*",
    "a descriptor with script and checksum": f"pkh({ORIGIN}{ACCOUNT}/0/*)#ml40v0wf",
    "broken into lines": f"{ACCOUNT[:40]}\n{ACCOUNT[40:80]}\r\n  {ACCOUNT[80:]}\n",
    "a descriptor broken into lines": f"[{FINGERPRINT}/44'/60'/0']\n{ACCOUNT}\n/0/*",
    "a byte order mark": f"\ufeff{ACCOUNT}",
    "zero-width characters": f"\u200b{ACCOUNT[:20]}\u200b\u2060{ACCOUNT[20:]}\u200d",
    "no-break spaces": f"\u00a0{ACCOUNT}\u00a0",
    "what Trezor Connect answers": json.dumps(TREZOR),
    "JSON with a byte order mark": "\ufeff" + json.dumps(TREZOR, indent=2),
    "what OneKey answers": json.dumps({"payload": [{"path": "m/44'/60'/0'", "xpub": ACCOUNT, "publicKey": "02ab"}]}),
    "an xpub in JSON and nothing else": json.dumps({"xpub": ACCOUNT}),
    "a descriptor in JSON": json.dumps({"xpub": f"{ORIGIN}{ACCOUNT}/0/*"}),
    "one of several coins": json.dumps(
        {
            "xpub": TREE.get_xpub_from_path("m"),
            "bip44": {"xpub": BITCOIN, "deriv": "m/44'/0'/0'"},
            "ethereum": {"xpub": ACCOUNT, "derivation": "m/44'/60'/0'"},
        }
    ),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_every_spelling_of_an_account_gives_its_addresses(text: str) -> None:
    key = ExtendedPublicKey.parse(text)

    assert key.wallet_id == ExtendedPublicKey.parse(ACCOUNT).wallet_id
    assert key.address(0) == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert str(key) in {ACCOUNT, RECEIVING}


def test_other_accounts_are_accepted_with_their_origin() -> None:
    assert str(ExtendedPublicKey.parse(f"[{FINGERPRINT}/44'/60'/1']{SECOND}/0/*")) == SECOND


REFUSED = {
    "a Bitcoin account": (f"[{FINGERPRINT}/44'/0'/0']{BITCOIN}/0/*", "a key of Bitcoin (m/44'/0'/0')"),
    "a SegWit account": (f"[{FINGERPRINT}/84'/0'/0']{BITCOIN}", "a key of Bitcoin (m/84'/0'/0')"),
    "a SegWit descriptor": (f"wpkh({BITCOIN}/0/*)", "a descriptor of Bitcoin (wpkh)"),
    "a nested descriptor": (f"sh(wpkh({BITCOIN}/0/*))#ml40v0wf", "a descriptor of Bitcoin (sh(wpkh)"),
    "Ethereum Classic": (f"[{FINGERPRINT}/44'/61'/0']{ACCOUNT}", "a key of Ethereum Classic"),
    "a coin without a name here": (f"[{FINGERPRINT}/44'/501'/0']{ACCOUNT}", "a key of another coin (m/44'/501'/0')"),
    "another purpose": (f"[{FINGERPRINT}/49'/60'/0']{ACCOUNT}", "m/49'/60'/0', where wallets of EVM chains"),
    "the origin of another account": (f"[{FINGERPRINT}/44'/60'/5']{ACCOUNT}", "not that of the path beside it"),
    "the origin of another depth": (f"[{FINGERPRINT}/44'/60'/0'/0]{ACCOUNT}", "not that of the path beside it"),
    "the change chain": (CHANGE, "the change chain of the account (…/1)"),
    "another chain": (TREE.get_xpub_from_path("m/44'/60'/0'/7"), "at …/7, whose addresses no wallet shows"),
    "the change chain behind the account": (f"{ACCOUNT}/1/*", "the change chain of the account (…/1)"),
    "addresses below the account": (f"{ACCOUNT}/*", "directly below the account"),
    "one address behind the account": (f"{ACCOUNT}/0/0", "a single address, as Ledger Live makes one"),
    "one address behind the chain": (f"{RECEIVING}/0", "a single address, as Ledger Live makes one"),
    "the key of one address": (SINGLE, "a single address, as Ledger Live makes one"),
    "a hardened step behind the key": (f"{ACCOUNT}/0'/*", "addresses that no wallet shows"),
    "too many steps": (f"{RECEIVING}/0/*", "addresses that no wallet shows"),
    "steps behind the master key": (f"{TREE.get_xpub_from_path('m')}/44'/60'/0'/0/*", "the wallet's master key"),
    "a key in a QR code": (
        "ur:crypto-hdkey/onaxhdclaojlvoechgferkdpqdiabdrflawshl",
        "QR code (crypto-hdkey), as Keystone",
    ),
    "an account in a QR code": ("UR:CRYPTO-ACCOUNT/1-3/LPADAXCFAO", "QR code (crypto-account), as Keystone"),
    "an export without keys": (json.dumps({"address": "0x00"}), "has no extended public key"),
    "an export of Bitcoin": (json.dumps({"xpub": BITCOIN, "path": "m/44'/0'/0'"}), "a key of Bitcoin (m/44'/0'/0')"),
    "an export of two accounts": (
        json.dumps([{"xpub": ACCOUNT, "path": "m/44'/60'/0'"}, {"xpub": SECOND, "path": "m/44'/60'/1'"}]),
        "has 2 keys: paste the one",
    ),
    "an export with the words": (json.dumps({"xpub": ACCOUNT, "seed": WORDS}), "has private keys in it"),
    "a private key in a descriptor": (f"{ORIGIN}{TREE.get_xpriv_from_path('m/44h/60h/0h')}/0/*", "is a private key"),
    "a private key in an export": (json.dumps({"xprv": TREE.get_xpriv_from_path("m")}), "is a private key"),
    "a phrase in lines": (WORDS.replace(" ", "\n"), "a recovery phrase"),
    "a phrase with zero-width characters": ("\u200b" + WORDS, "a recovery phrase"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_gives_no_addresses_of_a_wallet_is_refused_for_what_it_is(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is compared below
        ExtendedPublicKey.parse(text)

    message = str(caught.value)
    assert why in message
    assert "/docs/wallets" in message
    assert not any(text[start : start + 16] in message for start in range(0, len(text) - 16, 8) if "pub" in text)
    assert "junk" not in message

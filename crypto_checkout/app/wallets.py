"""The wallets of the configuration: the one of new sessions, and those whose addresses were given out before."""

from crypto_checkout.chain.sandbox import chain as sandbox
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.config import Config
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.deposits import TEST_LABEL, Deposits
from crypto_checkout.services.checkout.payment_methods import Wallet
from crypto_checkout.store.collect import deposits as store
from crypto_checkout.store.database import Database

_KNOWN_ADDRESSES = 20


def deposits(config: Config) -> Deposits | None:
    """Return the wallet of cold-address mode, if it is on."""
    wallet = config.wallet
    return Deposits(Address(wallet.cold_address), wallet.cold_label) if wallet.cold_address else None


def key(config: Config) -> ExtendedPublicKey | None:
    """Return the extended public key, which has the addresses of older sessions where cold-address mode is on."""
    return ExtendedPublicKey.parse(config.wallet.xpub) if config.wallet.xpub else None


def live(config: Config) -> Wallet | None:
    """Return the wallet that new sessions for real money use; None where there is none."""
    return deposits(config) or key(config)


def of_test_mode(config: Config) -> Wallet:
    """Return the wallet of test mode: deposits where real money has them, or else the public test wallet."""
    if config.wallet.cold_address:
        return Deposits(Address(config.wallet.cold_address), TEST_LABEL)
    return ExtendedPublicKey.parse(sandbox.XPUB)


async def earlier(config: Config, db: Database, present: Wallet, *, livemode: bool) -> list[Wallet]:
    """Return a mode's other wallets: the key beside a cold address, and cold addresses before it."""
    recorded = await db.read(store.recorded)
    found: list[Wallet] = [each for each in recorded.values() if each.livemode == livemode]
    keys = [key(config)] if livemode else [ExtendedPublicKey.parse(sandbox.XPUB)]
    found += [each for each in keys if each is not None]
    return [each for each in found if each.wallet_id != present.wallet_id]


def public_key_of(config: Config) -> str | None:
    """Return the key of `[wallet]` by which real money goes to the public test wallet, whose words everybody knows."""
    wallet = live(config)
    if isinstance(wallet, Deposits):
        return "cold_address" if is_public(wallet.destination) else None
    public = ExtendedPublicKey.parse(sandbox.XPUB)
    return "xpub" if wallet is not None and wallet.wallet_id == public.wallet_id else None


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the first of the public test wallet."""
    public = ExtendedPublicKey.parse(sandbox.XPUB)
    return address in {public.address(index) for index in range(_KNOWN_ADDRESSES)}


def names(config: Config) -> dict[str, str]:
    """Return names for the wallets whose addresses this server gives out, by their ids."""
    named = {of_test_mode(config).wallet_id: "Test mode's wallet"}
    old, new = key(config), deposits(config)
    if old is not None:
        named[old.wallet_id] = "Your wallet" if new is None else "Your earlier wallet (xpub)"
    if new is not None:
        named[new.wallet_id] = "Your cold address"
    return named

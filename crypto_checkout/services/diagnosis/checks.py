"""Check the ledger and the providers for `doctor`: each check is ok, a warning, or a failure with advice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import TokenFacts
from crypto_checkout.core.collect import readiness
from crypto_checkout.core.collect.readiness import DepositFacts
from crypto_checkout.core.diagnosis.checks import Check, fail, ok, warn
from crypto_checkout.core.diagnosis.explanation import span
from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.sizes import size
from crypto_checkout.core.webhooks.endpoint import Endpoint
from crypto_checkout.encryption import Cipher, is_encrypted, of_endpoint
from crypto_checkout.services.ledger.token_check import ConfiguredToken, contradiction
from crypto_checkout.services.upkeep.disk_watch import DiskReport
from crypto_checkout.services.upkeep.rpc_usage import KEPT_DAYS
from crypto_checkout.store import rpc_usage
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.owner import shared_key
from crypto_checkout.store.rpc_usage import DailyUsage
from crypto_checkout.store.upkeep.newest_version import LastLook
from crypto_checkout.store.webhooks import deliveries, endpoints
from crypto_checkout.webhooks import guard
from crypto_checkout.webhooks.networks import Reach

_MOST_LAG_BLOCKS = 2
_MOST_BEHIND_BLOCKS = 100
_CLOCK_BEHIND = timedelta(seconds=15)
_OLD_HEAD = timedelta(minutes=5)
_MONTH_DAYS = 30
_LONG_STALL_SECONDS = 1.0
_TEST_NETWORKS = frozenset({11155111, 84532})  # Sepolia, Base Sepolia: the presets


def of_shared_key(unit: ReadUnit, cipher: Cipher) -> list[Check]:
    """Compare this folder's key with that of the other processes on a server's database."""
    known = shared_key.name(unit)
    if known in {None, cipher.key_id}:
        return []
    advice = "Copy secret.key from the data folder of a process that serves this database over it."
    return [fail("secret.key", "the other processes of this database have another key", advice)]


class ProviderProbe(Protocol):
    """The result of trying one provider; `chain.evm.probe` implements it."""

    @property
    def name(self) -> str:
        """Its host."""

    @property
    def problem(self) -> str | None:
        """The reason for which it can't be used."""

    @property
    def head(self) -> Header | None:
        """Its newest block."""

    @property
    def milliseconds(self) -> int:
        """The time that its answer took."""

    @property
    def lacks(self) -> tuple[str, ...]:
        """Needed abilities that it lacks."""

    @property
    def lacks_optional(self) -> tuple[str, ...]:
        """Optional abilities that it lacks."""

    @property
    def lacks_tag(self) -> bool:
        """True if it doesn't know the block tag of the chain's finality."""


def of_providers(
    chain: str, keys: Sequence[str], probed: Sequence[ProviderProbe], hashes: Mapping[str, str]
) -> list[Check]:
    """Check each provider of a chain; `keys` are theirs in the configuration.

    `hashes` has the block that each provider shows at the same height, by `place host`, to detect a fork.
    """
    newest = max((each.head.number for each in probed if each.head), default=0)
    found = [_of_provider(f"{chain}: {each.name}", key, each, newest) for key, each in zip(keys, probed, strict=True)]
    if len(set(hashes.values())) > 1:
        groups = "; ".join(f"{name} shows {block_hash}" for name, block_hash in sorted(hashes.items()))
        found.append(
            fail(
                f"{chain}: agreement",
                f"the providers show different blocks at the same height: {groups}",
                "One of them is on a fork, or lies: ask it of an explorer, and take that URL out.",
            )
        )
    return found


def _of_provider(name: str, key: str, probed: ProviderProbe, newest: int) -> Check:
    if probed.problem is not None or probed.head is None:
        advice = f"Check {key} (the URL, its key, its plan), and that this machine can reach it."
        return fail(name, probed.problem or "it shows no block", advice)
    state = f"block {probed.head.number:,} in {probed.milliseconds} ms"
    if probed.lacks:
        what = f"{state}, and it can't do {'; '.join(probed.lacks)}"
        return fail(name, what, f"Give another provider in {key}: payments would be missed with this one.")
    if newest - probed.head.number > _MOST_LAG_BLOCKS:
        behind = f"{state}, {newest - probed.head.number:,} blocks behind the others"
        return warn(name, behind, f"Move it to the end of the list, or take it out: {key}.")
    lacking = f"; without {', '.join(probed.lacks_optional)}" if probed.lacks_optional else ""
    return ok(name, f"{state}{lacking}")


def of_finality(
    chain: str, key: str, finality: str, confirmations: int, probed: Sequence[ProviderProbe]
) -> list[Check]:
    """Check that the providers know the block tag by which payments become final."""
    lacking = [each.name for each in probed if each.lacks_tag]
    if not lacking:
        return []
    what = f"{', '.join(lacking)} doesn't know the block tag {finality!r}"
    if len(lacking) == len(probed):
        what += f": payments count by depth instead, after {confirmations} confirmations"
    advice = f'Name a provider in {key}.rpc_urls that does, or say what holds: {key}.finality = "depth".'
    return [warn(f"{chain}: finality", what, advice)]


def of_clock(chain: str, head: Header, now: datetime) -> Check:
    """Compare this machine's clock with the time of a chain's newest block."""
    name, ahead = f"{chain}: clock", head.time - now
    if ahead > _CLOCK_BEHIND:
        return fail(
            name,
            f"the newest block is {span(ahead)} in the future: this machine's clock is behind",
            "Set the clock (timedatectl set-ntp true): webhooks' signatures and expiry times depend on it.",
        )
    if -ahead > _OLD_HEAD:
        return warn(
            name,
            f"the newest block is {span(ahead)} old: the chain stands still, its nodes lag, or this clock is ahead",
            "Compare with an explorer, and see that this machine's clock is kept by NTP.",
        )
    return ok(name, f"the newest block is {span(ahead)} old")


def of_deposits(name: str, destination: Address, facts: DepositFacts, elsewhere: Sequence[str]) -> Check:
    """Check that money can be collected from deposits; `elsewhere` are the chains where the destination has code."""
    problem = readiness.problem(facts, destination)
    if problem is None and elsewhere and not facts.has_code:
        problem = readiness.only_elsewhere(destination, elsewhere[0])
    if problem is not None:
        return fail(name, problem, "Until then no session is made on this chain, and its money stays where it is.")
    return ok(name, f"money goes from deposits to {checksum(destination)}, and nowhere else")


def of_cursor(chain: str, head: Header, cursor: Cursor | None) -> Check:
    """Check how far the server has processed a chain."""
    name = f"{chain}: processed"
    if cursor is None:
        return warn(name, "no block yet", "Start the server: crypto-checkout serve")
    behind = max(0, head.number - cursor.number)
    if behind > _MOST_BEHIND_BLOCKS:
        what = f"block {cursor.number:,}, {behind:,} blocks behind"
        return warn(name, what, "Is `crypto-checkout serve` running, and what does its log say of this chain?")
    return ok(name, f"block {cursor.number:,}, {behind} behind")


def of_shared(chain: str, chain_id: int, shared: int | None, *, is_newest_older: bool) -> list[Check]:
    """Check that a chain is still the one that was followed; `shared` is a processed block that it still has."""
    if shared is not None or is_newest_older:
        return []
    return [
        fail(
            f"{chain}: followed",
            "stopped: none of the last processed blocks is on the chain any more, so no payment is noticed on it",
            "Make sure that rpc_urls lead to the right chain. If they do, it began anew: "
            f"crypto-checkout chains reanchor {chain_id}",
        )
    ]


def of_token(chain: str, token: ConfiguredToken, facts: TokenFacts) -> Check:
    """Compare a configured token with the facts of its contract."""
    name = f"{chain}: {token.asset.symbol}"
    problem = contradiction(token, facts)
    if problem is not None:
        return fail(name, problem, "Until then no session in it is made.")
    facts_text = f"{facts.symbol or 'without a symbol'}, {facts.decimals} decimals"
    if facts.symbol != token.asset.symbol:
        return warn(
            name,
            f"the contract calls itself {facts_text}",
            f"Is {token.key}.address really the token that you mean? Compare it with what its issuer publishes.",
        )
    return ok(name, facts_text)


# --- the ledger ------------------------------------------------------------------------------------------------------


def of_endpoints(unit: ReadUnit, cipher: Cipher | None, reach: Reach) -> list[Check]:
    """Check the webhook endpoints of both modes.

    Args:
        unit: the unit of work.
        cipher: reads their secrets; None without the key.
        reach: the networks that the server sends webhooks to.
    """
    found = []
    for livemode in (True, False):
        for endpoint in endpoints.all_of(unit, livemode):
            name = f"webhook {endpoint.id}"
            failing = deliveries.failing(unit, endpoint.id)
            if endpoint.disabled_reason:
                advice = f"Put that right, switch it on again, and: crypto-checkout webhooks replay {endpoint.id}"
                found.append(warn(name, f"{endpoint.url} was switched off: {endpoint.disabled_reason}", advice))
            elif not _is_readable(endpoint, cipher):
                what = f"{endpoint.url}: its secret can't be read without its secret.key; a start switches it off"
                advice = (
                    "Put the secret.key back that belongs to this database. If it is lost, rotate the secret, and give "
                    "your shop the new one."
                )
                found.append(fail(name, what, advice))
            elif endpoint.active and (refusal := _refusal(endpoint, reach)) is not None:
                advice = "Give the endpoint another URL, or allow this one; what failed is tried again."
                found.append(warn(name, f"nothing is sent to {endpoint.url}: {refusal}", advice))
            elif failing:
                many = "1 delivery failed and is" if failing == 1 else f"{failing} deliveries failed and are"
                advice = f"Try it: crypto-checkout webhooks test {endpoint.id}"
                found.append(warn(name, f"{endpoint.url}: {many} tried again", advice))
            else:
                found.append(ok(name, f"{endpoint.url}{'' if endpoint.active else ' (switched off)'}"))
    return found or [ok("webhooks", "there is no endpoint")]


def _refusal(endpoint: Endpoint, reach: Reach) -> str | None:
    """Return why an endpoint couldn't be made today; the configuration may have changed since it was."""
    try:
        guard.check_url(endpoint.url, reach=reach, allow_http=not endpoint.livemode)
    except ValueError as error:
        return str(error)
    return None


def _is_readable(endpoint: Endpoint, cipher: Cipher | None) -> bool:
    if not is_encrypted(endpoint.secret):
        return True
    return cipher is not None and cipher.decrypt(endpoint.secret, of_endpoint(endpoint.id)) is not None


def of_usage(unit: ReadUnit, names: Mapping[int, str]) -> list[Check]:
    """Report each provider's requests: today, the most in a day, and projected to a month."""
    today = unit.now.date()
    days = rpc_usage.since(unit, today - timedelta(days=KEPT_DAYS - 1))
    by_provider = defaultdict[tuple[int, str], list[DailyUsage]](list)
    for day in days:
        by_provider[day.chain_id, day.provider].append(day)
    return [
        ok(f"{names.get(chain_id, f'chain {chain_id}')}: use of {provider}", _used(of_one, unit.now))
        for (chain_id, provider), of_one in by_provider.items()
    ]


def _used(days: Sequence[DailyUsage], now: datetime) -> str:
    today = sum((day.usage for day in days if day.day == now.date()), RpcUsage())
    whole = [day.usage for day in days if day.day < now.date()]
    today_text = f"today {_amount(today)}"
    if not whole:
        return f"{today_text}; a plan's limit can be compared after a whole day"
    usual = sum(whole, RpcUsage())
    a_month = RpcUsage(
        usual.calls * _MONTH_DAYS // len(whole),
        usual.bytes_sent * _MONTH_DAYS // len(whole),
        usual.bytes_received * _MONTH_DAYS // len(whole),
    )
    most = max(usage.calls for usage in whole)
    return f"{today_text}; at most {most:,} calls a day; {_amount(a_month)} a month: compare that with your plan"


def _amount(usage: RpcUsage) -> str:
    return f"{usage.calls:,} calls, {(usage.bytes_sent + usage.bytes_received) / 1e6:,.1f} MB"


def of_networks(names: Mapping[int, str]) -> list[Check]:
    """Warn about test networks beside chains for real money, by id: what is paid there counts alike."""
    free = [name for chain_id, name in names.items() if chain_id in _TEST_NETWORKS]
    if not free or len(free) == len(names):
        return []
    what = f"{', '.join(free)} beside chains for real money: a session paid there counts as paid, with nothing"
    return [warn("test networks", what, "Give test networks a server of their own.")]


def of_stall(seconds: float) -> Check:
    """Check the longest time for which the server's event loop kept everything waiting in the last minute."""
    name = "event loop"
    if seconds < _LONG_STALL_SECONDS:
        return ok(
            name, f"the server's own work delayed nobody by more than {seconds * 1000:,.0f} ms in the last minute"
        )
    what = f"the server's own work delayed payers, the API and webhooks by {seconds:,.1f} s in the last minute"
    return warn(name, what, "See whether this machine has too little processor time or memory for what runs on it.")


def of_disk(report: DiskReport) -> Check:
    """Check that the disk isn't full within a month, as far as the last weeks tell."""
    name, forecast = "disk", report.forecast
    free = f"{size(report.sizes.free)} of {size(report.sizes.total)} free"
    if forecast is None:
        return ok(name, f"{free}; there will be a forecast from {report.forecast_from:%Y-%m-%d}")
    what = f"{free}; {forecast.words[0].lower()}{forecast.words[1:]}"
    if not forecast.is_soon(was_soon=False):
        return ok(name, what)
    return warn(name, what, "The dashboard says under Settings, Server what takes up the space, and what can be done.")


def of_updates(version: str, look: LastLook | None) -> Check:
    """Compare the version with the newest one that was heard of, where the owner has named a URL to ask."""
    name = "updates"
    if look is None:
        return ok(name, f"this is {version}; no newer one was looked for yet")
    if look.release is not None and look.release.is_newer_than(version):
        what = f"{look.release.version} is available, this is {version}: {look.release.url}"
        return warn(name, what, "/docs/go-live#update says how to update.")
    if look.problem is not None:
        what = f"this is {version}; asking {look.url} for the newest failed: {look.problem}"
        return warn(name, what, "Ask it yourself, or correct [updates] check_url.")
    return ok(name, f"this is {version}, the newest")

"""Contradictions between keys, which no check of a single value can find.

These checks read the raw tables, so that contradictions are reported together with wrong values elsewhere. A value of
the wrong type is skipped: it is a mistake of its own already.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crypto_checkout.config.mistakes import Mistake
from crypto_checkout.config.own_prices import never_used
from crypto_checkout.config.shape import ChainConfig, MailConfig, PricesConfig
from crypto_checkout.config.values import is_near


def contradictions(values: Mapping[str, Any], *, has_file: bool) -> list[Mistake]:
    """Return all contradictions."""
    chains = _tables(values.get("chains"))
    return [
        *_wallet(values, chains, has_file=has_file),
        *_database(_table(values.get("database"))),
        *_backup(_table(values.get("backup")), _table(values.get("database"))),
        *_collector(_table(values.get("collector")), chains),
        *_quorum(values),
        *_price_key(values),
        *never_used(values, chains),
        *_alerts(_table(values.get("alerts"))),
        *_mail(_table(values.get("mail")), _table(values.get("alerts"))),
        *_chain_ids(chains),
        *_nodes(chains),
        *_agreement(chains),
        *_all_symbols(chains),
    ]


def _wallet(values: Mapping[str, Any], chains: list[Mapping[str, Any]], *, has_file: bool) -> Iterator[Mistake]:
    wallet = _table(values.get("wallet"))
    xpub, cold_address = wallet.get("xpub", ""), wallet.get("cold_address", "")
    if not has_file and (chains or xpub or cold_address):
        place = "chains" if chains else "wallet.xpub" if xpub else "wallet.cold_address"
        yield Mistake(
            place, "real money needs a configuration file, and there is none: `crypto-checkout init` writes one"
        )
    if chains and _is_blank(xpub) and _is_blank(cold_address):
        yield Mistake(
            "wallet.xpub",
            "is required, because chains for real money are configured: the extended public key of your wallet, "
            "or one address of it in wallet.cold_address",
        )
    if wallet.get("cold_label") and _is_blank(cold_address):
        yield Mistake("wallet.cold_address", "is required, because there is a cold_label that belongs to it")
    tokens = {str(token.get("address", "")).lower() for chain in chains for token in _tables(chain.get("tokens"))}
    if isinstance(cold_address, str) and cold_address.strip().lower() in tokens - {""}:
        yield Mistake("wallet.cold_address", "expected an address of your own: this is the contract of a token")


def _database(database: Mapping[str, Any]) -> Iterator[Mistake]:
    if database.get("url") and database.get("url_file"):
        yield Mistake("database.url_file", "expected none beside url: the database's URL is in one or the other")


def _backup(backup: Mapping[str, Any], database: Mapping[str, Any]) -> Iterator[Mistake]:
    folder, path = backup.get("folder"), database.get("path")
    if (
        folder
        and path
        and _is_path(folder)
        and _is_path(path)
        and Path(folder).resolve() == Path(path).resolve().parent
    ):
        yield Mistake("backup.folder", f"expected a folder of its own, not that of the database ({folder})")
    if backup.get("age_recipients") and backup.get("passphrase"):
        yield Mistake(
            "backup.passphrase",
            "expected none beside age_recipients: a backup is encrypted to one or the other",
        )


def _collector(collector: Mapping[str, Any], chains: list[Mapping[str, Any]]) -> Iterator[Mistake]:
    wanted = collector.get("chains", [])
    known = {chain.get("id") for chain in chains}
    for number in wanted if isinstance(wanted, list) else ():
        if number not in known:
            yield Mistake("collector.chains", f"chain {number} is not configured; expected ids of [[chains]]")


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path) and "\0" not in str(value)


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _quorum(values: Mapping[str, Any]) -> Iterator[Mistake]:
    prices = _table(values.get("prices"))
    sources = prices.get("sources", list(PricesConfig().sources))
    quorum = prices.get("quorum", PricesConfig().quorum)
    if not isinstance(sources, list) or not all(isinstance(s, str) for s in sources) or type(quorum) is not int:
        return
    # A fixed price comes from no source, so it can't count towards a quorum; without sources it is the only price.
    usable = len(set(sources))
    if quorum > usable and (sources or not prices.get("fixed")):
        yield Mistake("prices.quorum", f"{quorum} sources must agree but only {usable} can answer")


def _price_key(values: Mapping[str, Any]) -> Iterator[Mistake]:
    prices = _table(values.get("prices"))
    sources = prices.get("sources", list(PricesConfig().sources))
    if prices.get("coingecko_api_key") and isinstance(sources, list) and "coingecko" not in sources:
        yield Mistake("prices.sources", 'must include "coingecko", because coingecko_api_key has a key')


def _alerts(alerts: Mapping[str, Any]) -> Iterator[Mistake]:
    if alerts.get("webhook_url") and not alerts.get("webhook_secret"):
        yield Mistake(
            "alerts.webhook_secret",
            "is required, because alerts go to webhook_url: the whsec_… secret that signs them; "
            "$CHECKOUT__ALERTS__WEBHOOK_SECRET keeps it out of the file",
        )


def _mail(mail: Mapping[str, Any], alerts: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what mails need and is missing: a server and a sender, and somebody who gets those to the owner."""
    notifies = mail.get("notify_paid", "off") != "off"
    purpose = (
        "alerts go to email_to"
        if alerts.get("email_to")
        else "payers get receipts"
        if mail.get("receipts")
        else "mails report payments"
        if notifies
        else None
    )
    for key, what in (("smtp_host", "the server that takes the mail"), ("from", "the sender's address")):
        if purpose is not None and not mail.get(key):
            yield Mistake(f"mail.{key}", f"is required, because {purpose}: {what}")
    if notifies and not mail.get("notify_to") and not alerts.get("email_to"):
        yield Mistake("mail.notify_to", "is required, because notify_paid is on: the addresses that are notified")
    host, security = mail.get("smtp_host"), mail.get("smtp_security", MailConfig().smtp_security)
    if mail.get("smtp_user") and security == "none" and isinstance(host, str) and not is_near(host):
        yield Mistake(
            "mail.smtp_security", "expected starttls or tls, because a password must not cross the network unencrypted"
        )


def _chain_ids(chains: list[Mapping[str, Any]]) -> Iterator[Mistake]:
    seen: dict[int, int] = {}
    for position, chain in enumerate(chains):
        number = chain.get("id")
        if type(number) is not int:
            continue
        if number in seen:
            yield Mistake(f"chains[{position}].id", f"chains[{seen[number]}] has the id {number} already")
        seen.setdefault(number, position)


def _nodes(chains: list[Mapping[str, Any]]) -> Iterator[Mistake]:
    for position, chain in enumerate(chains):
        if "rpc_urls" not in chain and not chain.get("providers"):
            place = f"chains[{position}].rpc_urls"
            yield Mistake(place, "is required, unless there is a [[chains.providers]] with a url")


def _agreement(chains: list[Mapping[str, Any]]) -> Iterator[Mistake]:
    for position, chain in enumerate(chains):
        urls, wanted = (
            chain.get("rpc_urls"),
            chain.get("confirm_with", ChainConfig.model_fields["confirm_with"].default),
        )
        count = sum(len(each) for each in (urls, chain.get("providers")) if isinstance(each, list))
        if count and type(wanted) is int and wanted > count:
            names = "rpc_urls and providers have" if chain.get("providers") else "rpc_urls has"
            yield Mistake(f"chains[{position}].confirm_with", f"{wanted} nodes must agree and {names} {count}")


def _all_symbols(chains: list[Mapping[str, Any]]) -> Iterator[Mistake]:
    for position, chain in enumerate(chains):
        yield from _symbols(f"chains[{position}]", chain)


def _symbols(place: str, chain: Mapping[str, Any]) -> Iterator[Mistake]:
    native = chain.get("native_symbol", ChainConfig.model_fields["native_symbol"].default)
    symbols = {native.lower(): "the native coin"} if isinstance(native, str) else {}
    addresses: dict[str, str] = {}
    for position, token in enumerate(_tables(chain.get("tokens"))):
        here = f"tokens[{position}]"
        for key, taken in (("symbol", symbols), ("address", addresses)):
            value = token.get(key)
            if not isinstance(value, str):
                continue
            # Case doesn't matter: payers can't tell usdc from USDC, and addresses are the same in any case.
            if value.lower() in taken:
                yield Mistake(f"{place}.{here}.{key}", f'{taken[value.lower()]} has the {key} "{value}" already')
            taken.setdefault(value.lower(), here)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> list[Mapping[str, Any]]:
    return [_table(entry) for entry in value] if isinstance(value, list) else []

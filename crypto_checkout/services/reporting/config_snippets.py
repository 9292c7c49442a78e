"""The configuration as the dashboard shows it, and lines to paste into the file to change it.

The file is the only source: nothing here writes it, and no setting is stored elsewhere.
"""

import json
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Literal

from crypto_checkout.chain.rpc.endpoint import NodeEndpoint
from crypto_checkout.chain.sandbox import chain
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey, InvalidChild
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.services.reporting.config_edit import SetChain, SetSections, SetValues

FIRST_ADDRESSES = 5

_BEGIN = "#[[chains]]"
_EXAMPLES = ("#[[chains.providers]]", "#[[chains.confirmation_tiers]]")
"""Tables of a preset that show what is possible, and are no default."""
_SETTING = re.compile(r"#(?=[a-z_]+ = |\[\[)")
_NODES = "rpc_urls = "


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """The backups as configured; `every_hours` is 0 where they are made only when the owner asks.

    A database on a `server` is backed up there: nothing else of this counts then.
    """

    folder: str
    every_hours: int
    keep_daily: int
    keep_weekly: int
    encryption: Literal["recipients", "passphrase", ""]
    server: str | None = None

    @property
    def quoted_folder(self) -> str:
        """The folder as a shell takes it."""
        return shlex.quote(self.folder)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that the server was started with. Nodes may contain access keys: only hosts are shown."""

    file: str | None
    logo: str | None
    cold_address: Address | None
    xpub: str = field(repr=False)
    uncollectable: Callable[[], Mapping[str, str]]
    """The chains without deposits now, by name, with the reason."""
    nodes: Mapping[int, Sequence[NodeEndpoint]] = field(repr=False)
    price_sources: Sequence[str]
    all_price_sources: Sequence[str]
    quorum: int
    fixed_prices: Mapping[str, Decimal]
    has_coingecko_key: bool
    has_mail: bool
    branding: Mapping[str, str]
    """The shop as payers see it, by the keys of the configuration."""
    backup: BackupPlan
    event_days: int
    attempt_days: int
    """The days for which events and attempts to deliver them are kept; 0 keeps them for good."""


@dataclass(frozen=True, slots=True)
class WalletPreview:
    """A wallet by its extended public key, with the first addresses that it would give out."""

    xpub: str = field(repr=False)
    wallet_id: str
    addresses: Sequence[str]
    is_test_wallet: bool


def preview(xpub: str) -> WalletPreview:
    """Derive a wallet's first addresses.

    Raises ValueError with a message that doesn't repeat the text, which may be a private key pasted by mistake.
    """
    key = ExtendedPublicKey.parse(xpub)
    return WalletPreview(
        xpub=str(key),
        wallet_id=key.wallet_id,
        addresses=tuple(_first_addresses(key)),
        is_test_wallet=key.wallet_id == ExtendedPublicKey.parse(chain.XPUB).wallet_id,
    )


def _first_addresses(key: ExtendedPublicKey) -> Iterator[str]:
    for index in range(FIRST_ADDRESSES):
        try:
            yield checksum(key.address(index))
        except InvalidChild:
            continue


# --- lines for checkout.toml -----------------------------------------------------------------------------------------


def wallet(preview: WalletPreview) -> SetValues:
    """Return the edit of the `[wallet]` section for a wallet."""
    return SetValues("wallet", {"xpub": literal(preview.xpub)})


def cold_address(destination: Address) -> SetValues:
    """Return the edit of the `[wallet]` section for a cold address; an xpub beside it stays, for older payments."""
    return SetValues("wallet", {"cold_address": literal(checksum(destination))})


def branding(values: Mapping[str, str]) -> SetValues:
    """Return the edit of the `[branding]` section for some of its keys."""
    return SetValues("branding", {key: literal(value) for key, value in values.items()})


_MAIL = {"from": "shop@example.com", "smtp_host": "smtp.example.com", "smtp_user": "", "smtp_password": ""}
"""A mail server, with values to be replaced."""


def mail_notices() -> SetValues:
    """Return the edit for receipts to payers and notices to the owner, with values to be replaced."""
    server = {key: literal(value) for key, value in _MAIL.items()}
    notices = {"receipts": "true", "notify_paid": literal("each"), "notify_to": _list(["you@example.com"])}
    return SetValues("mail", {**server, **notices})


def mail_alerts(*, has_mail: bool) -> SetSections:
    """Return the edit for alerts by mail, with values to be replaced; with `has_mail`, mail itself is left as it is."""
    alerts = SetValues("alerts", {"email_to": _list(["you@example.com"])})
    if has_mail:
        return SetSections((alerts,))
    return SetSections((SetValues("mail", {key: literal(value) for key, value in _MAIL.items()}), alerts))


def prices(sources: Sequence[str], quorum: int, fixed: Mapping[str, str]) -> SetValues:
    """Return the edit of the `[prices]` section for its sources, their quorum, and prices of one's own."""
    own = ", ".join(f"{literal(pair)} = {literal(price)}" for pair, price in sorted(fixed.items()))
    values = {"sources": _list(sources), "quorum": str(quorum)}
    return SetValues("prices", {**values, "fixed": f"{{ {own} }}"} if own else values)


@dataclass(frozen=True, slots=True)
class Preset:
    """A chain of `checkout.toml.example`; `lines` are its settings with its tokens, ready to paste."""

    id: int
    name: str
    lines: str

    def with_nodes(self, urls: Sequence[str]) -> str:
        """Return the lines with these nodes."""
        nodes = f"{_NODES}{_list(urls)}"
        return "\n".join(nodes if line.startswith(_NODES) else line for line in self.lines.split("\n"))

    def edit(self, urls: Sequence[str]) -> SetChain:
        """Return the edit for the chain with these nodes."""
        return SetChain(self.id, self.with_nodes(urls), _list(urls))


@cache
def presets() -> tuple[Preset, ...]:
    """Return the chains of `checkout.toml.example`."""
    text = (files("crypto_checkout") / "checkout.toml.example").read_text("utf-8")
    return tuple(_preset(part) for part in text.split(f"\n{_BEGIN}\n")[1:])


def find_preset(name: str) -> Preset:
    """Return the preset with this id or name, or the only one whose name begins so. Raises ValueError."""
    wanted = name.strip().casefold()
    exact = [each for each in presets() if wanted in {str(each.id), each.name.casefold()}]
    found = exact or [each for each in presets() if wanted and each.name.casefold().startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(f"{each.name} ({each.id})" for each in presets())
        raise ValueError(
            f"{'several presets begin' if found else 'no preset is named'} {name[:40]!r}; there are {known}"
        )
    return found[0]


def switched_on(text: str, chosen: Collection[Preset]) -> str:
    """Return the text of `checkout.toml.example` with these presets switched on, without their example of a tier."""
    before, *blocks = text.split(f"\n{_BEGIN}\n")
    for place, preset in enumerate(presets()):
        begin = _BEGIN
        if preset in chosen:
            begin = _BEGIN.removeprefix("#")
            blocks[place] = "\n".join(
                part if part.startswith(_EXAMPLES) else _switched_on(part) for part in _parts(blocks[place])
            )
        before += f"\n{begin}\n{blocks[place]}"
    return before


def _switched_on(part: str) -> str:
    return "\n".join(line[1:] if _SETTING.match(line) else line for line in part.split("\n"))


def _parts(commented: str) -> list[str]:
    """Split a preset into its settings, its tiers and its tokens."""
    return re.split(r"\n(?=#\[\[chains\.)", commented)


def _preset(commented: str) -> Preset:
    """Read a preset: settings follow `#`, explanations follow `# `. `_EXAMPLES` are left out."""
    kept = [part for part in _parts(commented) if not part.startswith(_EXAMPLES)]
    sections = ["\n".join(line[1:] for line in part.split("\n") if _SETTING.match(line)) for part in kept]
    lines = "\n\n".join(["[[chains]]\n" + sections[0], *sections[1:]])
    settings = dict(line.split(" = ", 1) for line in sections[0].split("\n"))
    return Preset(int(settings["id"]), json.loads(settings["name"]), lines)


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, texts))}]"


def literal(text: str) -> str:
    """Write a basic string of TOML: a JSON string, except that TOML requires DEL to be escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

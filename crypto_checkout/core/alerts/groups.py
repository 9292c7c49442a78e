"""Issues of one kind together, for pages: how many there are, and how much money they are about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crypto_checkout.core.alerts.issues import Issue, IssueKind
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.money import format_minor, format_units, with_commas
from crypto_checkout.core.rows import one_row_each


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """The words of a kind for one and for many, and the page with all of them, where there is one.

    `about` follows the sum of their money, where it isn't their price.
    """

    one: str
    many: str
    path: str | None = None
    about: str = ""


GROUPS: Mapping[IssueKind, GroupInfo] = one_row_each(
    "core.alerts.groups.GROUPS",
    IssueKind,
    {
        IssueKind.DATABASE: GroupInfo("database problem", "database problems"),
        IssueKind.DISK: GroupInfo("disk problem", "disk problems"),
        IssueKind.DESCRIPTORS: GroupInfo("lack of file descriptors", "lacks of file descriptors"),
        IssueKind.CHAIN: GroupInfo("chain stopped", "chains stopped"),
        IssueKind.WALLET: GroupInfo("wallet problem", "wallet problems"),
        IssueKind.PRICE: GroupInfo("missing price", "missing prices"),
        IssueKind.DIFFERENCE: GroupInfo("balance mismatch", "balance mismatches"),
        IssueKind.FAILED: GroupInfo("reversed payment", "reversed payments", "/payments?issue=failed"),
        IssueKind.WEBHOOK_DISABLED: GroupInfo("disabled webhook", "disabled webhooks", "/webhooks"),
        IssueKind.BACKUP: GroupInfo("backup problem", "backup problems"),
        IssueKind.REPLICA: GroupInfo("replica behind", "replicas behind"),
        IssueKind.CLOCK: GroupInfo("clock problem", "clock problems"),
        IssueKind.COLLECTOR: GroupInfo("collection problem", "collection problems"),
        IssueKind.OVERSOLD: GroupInfo("oversold link", "oversold links", "/links"),
        IssueKind.REFUND: GroupInfo("open refund", "open refunds", "/refunds"),
        IssueKind.UNMATCHED: GroupInfo(
            "unmatched payment", "unmatched payments", "/payments/unmatched?issue=unmatched"
        ),
        IssueKind.MAIL: GroupInfo("undelivered email", "undelivered emails"),
        IssueKind.LATE_PAYMENT: GroupInfo("late payment", "late payments", "/payments?issue=late_payment"),
        IssueKind.UNDERPAID: GroupInfo("underpaid", "underpaid", "/payments?issue=underpaid"),
        IssueKind.OVERPAID: GroupInfo("overpaid", "overpaid", "/payments?issue=overpaid", " too much"),
        IssueKind.WEBHOOK_FAILING: GroupInfo("failing webhook", "failing webhooks", "/webhooks"),
        IssueKind.PROVIDER: GroupInfo("RPC provider down", "RPC providers down"),
        IssueKind.UNUSED_ADDRESSES: GroupInfo("run of unused addresses", "runs of unused addresses"),
    },
)

URGENT = frozenset(
    {
        IssueKind.DATABASE,
        IssueKind.DISK,
        IssueKind.DESCRIPTORS,
        IssueKind.CHAIN,
        IssueKind.WALLET,
        IssueKind.PRICE,
        IssueKind.DIFFERENCE,
        IssueKind.FAILED,
        IssueKind.WEBHOOK_DISABLED,
    }
)
"""Kinds that come first: payments stop, or money is at risk."""

SESSION_KINDS = frozenset({IssueKind.UNDERPAID, IssueKind.OVERPAID, IssueKind.FAILED, IssueKind.LATE_PAYMENT})
"""Kinds that are about sessions, by which payments can be filtered."""


@dataclass(frozen=True, slots=True)
class IssueGroup:
    """The issues of a kind: the newest ones, the number of all, and the sum of their money.

    With `is_cut` there are more than `count`, and their money is more than `sums`.
    """

    kind: IssueKind
    issues: tuple[Issue, ...]
    count: int
    sums: tuple[str, ...] = ()
    is_cut: bool = False

    @property
    def title(self) -> str:
        """The number with the words of the kind."""
        info = GROUPS[self.kind]
        return f"{self.count:,}{'+' if self.is_cut else ''} {info.one if self.count == 1 else info.many}"

    @property
    def about(self) -> str:
        """The words after the sum."""
        return GROUPS[self.kind].about

    @property
    def is_urgent(self) -> bool:
        """True where payments stop, or money is at risk."""
        return self.kind in URGENT

    @property
    def path(self) -> str:
        """The page of the issue, or of all of them."""
        newest = self.issues[0]
        return newest.path if self.count == 1 else GROUPS[self.kind].path or newest.path


def ordered(groups: Iterable[IssueGroup]) -> list[IssueGroup]:
    """Return groups with the urgent ones first, then by their newest issue."""
    return sorted(groups, key=lambda group: (group.is_urgent, group.issues[0].since), reverse=True)


def of_server(issues: Sequence[Issue]) -> list[IssueGroup]:
    """Group the server's own issues by kind."""
    kinds = dict.fromkeys(each.kind for each in issues)
    by_kind = {kind: [each for each in issues if each.kind is kind] for kind in kinds}
    return [
        IssueGroup(kind, tuple(sorted(found, key=lambda each: each.since, reverse=True)), len(found))
        for kind, found in by_kind.items()
    ]


def fiat_sums(amounts: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Add up amounts, each a currency with a number of its smallest unit; the currency with the most issues first."""
    sums: dict[str, list[int]] = {}
    for currency, minor in amounts:
        sums.setdefault(currency, []).append(minor)
    order = sorted(sums, key=lambda currency: (-len(sums[currency]), currency))
    return tuple(f"{with_commas(format_minor(sum(sums[each]), each))} {each}" for each in order)


def coin_sums(amounts: Iterable[tuple[Asset, int]]) -> tuple[str, ...]:
    """Add up amounts of coins, by symbol and decimals."""
    sums: dict[tuple[str, int], list[int]] = {}
    for asset, units in amounts:
        sums.setdefault((asset.symbol, asset.decimals), []).append(units)
    order = sorted(sums, key=lambda key: (-len(sums[key]), key))
    return tuple(f"{format_units(sum(sums[key]), key[1])} {key[0]}" for key in order)

"""The guides, grouped by reader and in reading order: their names, one line about each, and their text."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "guides"
DOWNLOADS = {
    "prometheus-rules.yml": "application/yaml; charset=utf-8",
    "grafana-dashboard.json": "application/json",
}
"""The files that guides offer, in the folder `downloads`, with their media types (RFC 9512 for YAML)."""

WRITTEN_FOR = "http://127.0.0.1:4020"
"""The URL written in the guides; pages show this server's instead."""


@dataclass(frozen=True, slots=True)
class GuideGroup:
    """The guides for one kind of reader; `guides` maps names to a line about each."""

    title: str
    about: str
    guides: dict[str, str]


GROUPS = (
    GuideGroup(
        "For merchants",
        "Take payments, see where the money is, and pay some of it back.",
        {
            "first-payment": "From an empty folder to a paid order in test mode, without writing code.",
            "basics": "How the money reaches you, what is yours to decide, and what the server can't do.",
            "statuses": "The statuses of a payment, what each means, and when it changes.",
            "dashboard": "A tour of the dashboard, and signing in safely.",
            "payment-pages": "What payers see, payment links, buttons, your name and logo.",
            "receipts": "Numbered receipts, by email and signed, and an email when you are paid.",
            "refunds": "Send money back to a payer, and have the chain confirm it.",
            "cold-address": "Send all money to one ordinary address: how to set it up, and its limits.",
            "wallets": "Use an extended public key from a Ledger, a Trezor or another wallet.",
            "collect": "Move what you were paid to one place.",
            "compare": "This server beside BTCPay Server, Bitcart, SHKeeper, BEpusdt, Coinbase and Stripe.",
        },
    ),
    GuideGroup(
        "For developers",
        "Create payments from your own code, and react to them.",
        {
            "integrate": "A complete shop in Python or JavaScript, and everything that can go wrong with it.",
            "webhooks": "Receive events, verify signatures, and survive downtime.",
            "errors": "Error codes, which requests to retry, and how to retry them safely.",
            "lists": "Pagination, polling for new objects, and ETags.",
            "python": "The Python client that comes with the package.",
            "test-mode": "Simulate every outcome: late payments, reorgs, outages and a clock you can move.",
        },
    ),
    GuideGroup(
        "For operators",
        "Install the server, keep it running, and know its limits.",
        {
            "go-live": "From test mode to real money: wallet, chains, TLS, systemd and updates.",
            "configuration": "The configuration file, section by section, and environment variables.",
            "proxies": "Caddy and nginx in front of the server, and what can be wrong with them.",
            "chains": "The prepared chains and tokens, when a payment is final, and how to add a chain.",
            "operate": "Backups, alerts, monitoring, and finding out why a payment didn't count.",
            "standby": "Copy every change to a second machine, and go on there when the first is lost.",
            "postgresql": "Keep the data on a PostgreSQL server instead of in a file.",
            "past-one-machine": "Several servers, two database servers and a proxy: go on when a machine is lost.",
            "monitoring": "Prometheus, a Grafana dashboard, alert rules, every metric, and the fields of the log.",
            "reliability": "Full disks, outages, jumping clocks and kills: what each does, costs, and how it ends.",
            "commands": "Every command of the command line.",
            "costs": "How many RPC calls each chain takes, and which free plans cover them.",
            "speed": "Orders a day by machine, and how it was measured.",
            "threat-model": "What an attacker can and can't do, with a test for each claim.",
        },
    ),
)
GUIDES = tuple(name for group in GROUPS for name in group.guides)


def download(name: str) -> bytes:
    """Return a file of `DOWNLOADS`."""
    return (Path(__file__).parent / "downloads" / name).read_bytes()


def guide_text(name: str, url: str) -> str:
    """Return a guide's Markdown for a server's URL."""
    return (FOLDER / f"{name}.md").read_text("utf-8").replace(WRITTEN_FOR, url)

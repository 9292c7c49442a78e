"""The one list of metrics, with their help and unit, as `/metrics` shows them. Every room but `core` may count here."""

import platform

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from crypto_checkout import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Else each counter and histogram has a second series with the time of its making, which Prometheus has no use for.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry(auto_describe=True)

ProcessCollector(registry=REGISTRY)  # process_*: memory, CPU, file descriptors, start time
BUILD = Info("checkout_build", "The running version, and the Python that runs it.", registry=REGISTRY)
BUILD.info({"version": __version__, "python": platform.python_version()})

REQUESTS = Counter(
    "checkout_http_requests", "HTTP requests answered.", ["method", "route", "status"], registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "checkout_http_request_seconds",
    "How long answering took, in seconds.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
EVENTS = Counter("checkout_events", "Events recorded, by type and mode.", ["type", "mode"], registry=REGISTRY)
EVENTS_PLAIN = Gauge(
    "checkout_events_plain",
    "Events that aren't packed into fewer bytes yet: those of the last minutes, and after an upgrade the old ones.",
    registry=REGISTRY,
)
LEADER = Gauge(
    "checkout_leader",
    "1 while this process leads: it follows chains, sends and tidies up. Of several processes exactly one does.",
    registry=REGISTRY,
)
LEADER_TERM = Gauge(
    "checkout_leader_term",
    "The leader's term, one more with each change; 0 on a file, and while this process knows of no leader.",
    registry=REGISTRY,
)
CHAIN_HEAD = Gauge("checkout_chain_head_block", "The newest block a node shows.", ["chain"], registry=REGISTRY)
CHAIN_PROCESSED = Gauge("checkout_chain_processed_block", "The last processed block.", ["chain"], registry=REGISTRY)
CHAIN_FAILURES = Counter(
    "checkout_chain_failures", "Times that a chain could not be read.", ["chain"], registry=REGISTRY
)
CHAIN_REORGS = Counter("checkout_chain_reorgs", "Reorganisations followed.", ["chain"], registry=REGISTRY)
RPC_CALLS = Counter(
    "checkout_rpc_calls", "JSON-RPC calls sent to each provider.", ["chain", "provider"], registry=REGISTRY
)
RPC_BYTES = Counter(
    "checkout_rpc_bytes",
    "Bytes of JSON-RPC bodies, sent to each provider and received from it.",
    ["chain", "provider", "direction"],
    registry=REGISTRY,
)
PRICES_UNAVAILABLE = Counter(
    "checkout_prices_unavailable", "Sessions refused for want of a reliable price.", registry=REGISTRY
)
WEBHOOK_ATTEMPTS = Counter(
    "checkout_webhook_attempts", "Delivery attempts, by what came of them.", ["outcome"], registry=REGISTRY
)
WEBHOOK_SECONDS = Histogram(
    "checkout_webhook_attempt_seconds",
    "How long endpoints took to answer, in seconds.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
    registry=REGISTRY,
)
BACKUP_AGE = Gauge(
    "checkout_backup_age_seconds",
    "The age of the newest checked backup in the server's own folder, in seconds; NaN without one.",
    registry=REGISTRY,
)
BACKUP_BYTES = Gauge(
    "checkout_backup_size_bytes", "The size of the newest checked backup, in bytes; NaN without one.", registry=REGISTRY
)
BACKUP_FAILURES = Counter("checkout_backup_failures", "Backups that the server could not make.", registry=REGISTRY)
LOOP_STALL = Gauge(
    "checkout_loop_stall_seconds",
    "The longest time in the last minute for which one step kept all others, and so all answers, waiting, in seconds.",
    registry=REGISTRY,
)
REPLICA_BEHIND = Gauge(
    "checkout_replica_behind_seconds",
    "Seconds since everything was in Litestream's replica; 0 while it is, or without a replica.",
    registry=REGISTRY,
)
READY = Gauge(
    "checkout_ready", "Whether a part of the server works, 1 or 0; the same as /readyz.", ["check"], registry=REGISTRY
)
ISSUES = Gauge(
    "checkout_issues",
    "Issues in the dashboard, by kind and mode; 0 when there are none.",
    ["kind", "mode"],
    registry=REGISTRY,
)
DISK_FREE = Gauge("checkout_disk_free_bytes", "Free space on the disk of the database, in bytes.", registry=REGISTRY)
DISK_FULL = Gauge(
    "checkout_disk_full_seconds",
    "When the disk is full at the usual growth of the last weeks, in seconds from now; NaN in the first week.",
    registry=REGISTRY,
)
DELIVERIES_PENDING = Gauge("checkout_deliveries_pending", "Deliveries that wait, due or not.", registry=REGISTRY)


def render() -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)

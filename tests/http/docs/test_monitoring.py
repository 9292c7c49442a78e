"""The guide to monitoring and its files: every metric and log field is described, and the files use no others."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from crypto_checkout import metrics
from crypto_checkout.http.docs.contents import DOWNLOADS, download, guide_text
from crypto_checkout.log import CONTEXT_KEYS
from tests.conftest import found
from tests.support.api import App

RULES, DASHBOARD = "prometheus-rules.yml", "grafana-dashboard.json"
OF_PROMETHEUS = {"up"}
LABELS_OF_PROMETHEUS = {"job", "instance"}
NAME = re.compile(r"\b(?:checkout|process)_\w+|\bup\b")


def families() -> Iterator[tuple[Metric, list[str]]]:
    """Return the metrics of the server's own, each with its labels."""
    for collector in metrics.REGISTRY._names_to_collectors.values():
        if isinstance(collector, MetricWrapperBase):
            for family in collector.describe():
                yield family, [*collector._labelnames, *(("python", "version") if "build" in family.name else ())]


def series() -> dict[str, set[str]]:
    """Return the names under which Prometheus stores the metrics, with their labels."""
    named = {}
    for family, labels in families():
        for suffix in {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}.get(
            family.type, [""]
        ):
            named[family.name + suffix] = {*labels, *(("le",) if suffix == "_bucket" else ())}
    return named


def written(name: str, labels: list[str], about: str) -> str:
    return f"| `{name}` | {', '.join(f'`{each}`' for each in labels)} | {about} |"


def rows_after(heading: str) -> list[str]:
    section = guide_text("monitoring", "").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_the_guide_describes_every_metric() -> None:
    unique = {family.name: (family, labels) for family, labels in families()}
    ends = {"counter": "_total", "info": "_info"}
    expected = [
        written(name + ends.get(family.type, ""), labels, family.documentation)
        for name, (family, labels) in unique.items()
    ]
    assert rows_after("Metrics") == expected, "\n".join(expected)


def test_the_guide_describes_every_field_of_the_log() -> None:
    expected = [f"| `{key}` | {about} |" for key, about in CONTEXT_KEYS.items()]
    assert rows_after("The log") == expected, "\n".join(expected)


def expressions() -> list[str]:
    rules = re.findall(r"expr: (?:>-\n\s+)?(.+?)(?=\n\s+(?:for|labels):)", download(RULES).decode(), re.DOTALL)
    targets = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return [*rules, *targets]


def panels() -> list[dict[str, Any]]:
    found_panels: list[dict[str, Any]] = json.loads(download(DASHBOARD))["panels"]
    return found_panels


def test_rules_and_dashboard_use_only_metrics_and_labels_that_there_are() -> None:
    known = series()
    used = set()
    for expression in expressions():
        names = set(NAME.findall(expression))
        assert names, expression
        ours = {name for name in names if name.startswith("checkout_")}
        assert ours <= set(known), expression
        labels = set[str]().union(*(known[name] for name in ours), LABELS_OF_PROMETHEUS)
        assert set(re.findall(r'(\w+)(?:=~?|!=|!~)"', expression)) <= labels, expression
        for inside in re.findall(r"by \(([\w, ]+)\)", expression):
            assert set(inside.split(", ")) <= labels, expression
        used |= names
    shown = {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in used}
    unseen = {family.name for family, _ in families()} - {re.sub(r"_(?:total|info)$", "", name) for name in shown}
    assert unseen <= {"checkout_rpc_bytes", "checkout_events_plain"}, (
        "metrics that neither an alert nor the dashboard uses"
    )


def test_the_panels_of_the_dashboard_have_places_of_their_own() -> None:
    taken = set[tuple[int, int]]()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_prometheus_accepts_the_rules_and_every_expression(tmp_path: Path) -> None:
    promtool = found("promtool", shutil.which("promtool"), "there is no promtool: apt-get install prometheus")
    subprocess.run([promtool, "check", "rules", _written(tmp_path / RULES, download(RULES).decode())], check=True)
    recorded = [
        {"record": f"expression_{number}", "expr": each.replace("$instance", ".*").replace("$job", ".*")}
        for number, each in enumerate(expressions())
    ]
    all_of_them = _written(tmp_path / "expressions.yml", json.dumps({"groups": [{"name": "all", "rules": recorded}]}))
    subprocess.run([promtool, "check", "rules", all_of_them], check=True)


CASES = {
    "CheckoutDown": ({'up{job="crypto-checkout",instance="a"}': "0x60"}, {"instance": "a", "job": "crypto-checkout"}),
    "CheckoutNotReady": ({'checkout_ready{check="database"}': "0x60"}, {"check": "database"}),
    "CheckoutLeaderMissing": (
        {'checkout_leader{job="a",instance="a"}': "0x60", 'checkout_leader{job="a",instance="b"}': "0x60"},
        {"job": "a"},
    ),
    "CheckoutLeaderChanges": ({'checkout_leader_term{instance="a"}': "1+1x60"}, {"instance": "a"}),
    "CheckoutChainBehind": (
        {
            'checkout_chain_head_block{chain="1"}': "1000x60",
            'checkout_chain_processed_block{chain="1"}': "850x60",
        },
        {"chain": "1"},
    ),
    "CheckoutChainUnreadable": ({'checkout_chain_failures_total{chain="1"}': "0+6x60"}, {"chain": "1"}),
    "CheckoutIssues": (
        {
            'checkout_issues{kind="underpaid",mode="live",instance="a"}': "2x60",
            'checkout_issues{kind="underpaid",mode="test",instance="a"}': "7x60",
            'checkout_issues{kind="failed",mode="live",instance="a"}': "0x60",
        },
        {"instance": "a", "kind": "underpaid"},
    ),
    "CheckoutPricesMissing": ({'checkout_prices_unavailable_total{instance="a"}': "0+1x60"}, {"instance": "a"}),
    "CheckoutErrors": (
        {
            'checkout_http_requests_total{status="503",instance="a"}': "0+2x60",
            'checkout_http_requests_total{status="200",instance="a"}': "0+98x60",
        },
        {"instance": "a"},
    ),
    "CheckoutSlow": (
        {
            'checkout_http_request_seconds_bucket{le="1.0",instance="a"}': "0+90x60",
            'checkout_http_request_seconds_bucket{le="2.5",instance="a"}': "0+100x60",
            'checkout_http_request_seconds_bucket{le="+Inf",instance="a"}': "0+100x60",
        },
        {"instance": "a"},
    ),
    "CheckoutStalls": ({'checkout_loop_stall_seconds{instance="a"}': "0.5x60"}, {"instance": "a"}),
    "CheckoutReplicaBehind": ({'checkout_replica_behind_seconds{instance="a"}': "0+60x60"}, {"instance": "a"}),
    "CheckoutWebhooksWait": ({'checkout_deliveries_pending{instance="a"}': "1001x60"}, {"instance": "a"}),
    "CheckoutFilesRunOut": (
        {
            'process_open_fds{job="crypto-checkout",instance="a"}': "900x60",
            'process_max_fds{job="crypto-checkout",instance="a"}': "1024x60",
        },
        {"job": "crypto-checkout", "instance": "a"},
    ),
    "CheckoutDiskFills": (
        {
            'checkout_disk_full_seconds{instance="a"}': "3000000-10000x60",
            'checkout_disk_free_bytes{instance="a"}': "2000000000x60",
        },
        {"instance": "a"},
    ),
    "CheckoutBackups": ({'checkout_backup_age_seconds{instance="a"}': "172000+60x60"}, {"instance": "a"}),
    "CheckoutRestarts": (
        {'process_start_time_seconds{job="crypto-checkout",instance="a"}': "1+60x60"},
        {"job": "crypto-checkout", "instance": "a"},
    ),
}
"""The series at which each alert goes off within an hour, a value a minute, and the labels with which it does."""


def test_there_is_a_case_for_every_alert() -> None:
    assert list(CASES) == re.findall(r"alert: (\w+)", download(RULES).decode())


def test_each_alert_goes_off_at_its_cause_and_not_before(tmp_path: Path) -> None:
    promtool = found("promtool", shutil.which("promtool"), "there is no promtool: apt-get install prometheus")
    _written(tmp_path / RULES, rules := download(RULES).decode())
    severities = dict(re.findall(r"alert: (\w+)\n.*?severity: (\w+)", rules, re.DOTALL))
    tests = []
    for alert, (data, labels) in CASES.items():
        every = {"alertname": alert, "alertstate": "firing", "severity": severities[alert], **labels}
        sample = ",".join(f'{name}="{value}"' for name, value in every.items())
        query = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
        fired = [{"labels": f"ALERTS{{{sample}}}", "value": 1}]
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in data.items()],
                "promql_expr_test": [
                    {"expr": query, "eval_time": "0m", "exp_samples": []},
                    {"expr": query, "eval_time": "60m", "exp_samples": fired},
                ],
            }
        )
    cases = {"rule_files": [RULES], "evaluation_interval": "1m", "tests": tests}
    _written(tmp_path / "test.yml", json.dumps(cases))
    command = [promtool, "test", "rules", "test.yml"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", DOWNLOADS)
async def test_the_files_are_served_to_anybody(app: App, name: str) -> None:
    answer = await (await app.anybody()).get(f"http://shop.example/docs/{name}")
    assert (answer.status_code, answer.content) == (200, download(name))
    assert answer.headers["content-type"] == DOWNLOADS[name]


def _written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path

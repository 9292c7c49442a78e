"""`crypto-checkout demo --sandbox`: every scenario of test mode on a server of its own, with its result."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crypto_checkout.client import CheckoutClient
from crypto_checkout.client.arguments import Amount
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.program import own_command

from .stage import Stage

ENDS: Mapping[Scenario, tuple[str, str]] = {
    Scenario.EXACT: ("paid", "created detected paid"),
    Scenario.UNDERPAID: ("underpaid", "created underpaid"),
    Scenario.OVERPAID: ("overpaid", "created detected overpaid"),
    Scenario.LATE: ("paid_late", "created expired detected paid_late"),
    Scenario.AFTER_GRACE: ("expired", "created expired late_payment"),
    Scenario.TOP_UP: ("paid", "created underpaid detected paid"),
    Scenario.REORGED: ("paid", "created detected reorged detected paid"),
    Scenario.REORGED_AFTER_PAID: ("failed", "created detected paid reorged failed"),
    Scenario.INTERNAL: ("paid", "created detected paid"),
    Scenario.WRONG_TOKEN: ("expired", "created expired"),
    Scenario.TWO_IN_ONE_TX: ("paid", "created detected paid"),
}
"""The final status of each scenario, and its events."""

_PRICE: Amount = {"value": "30.00", "currency": "USD"}
_KEY = re.compile(r"\b(ck_test_[0-9A-Za-z]{32})\b")
_LISTENING = re.compile(r"listens on (http://\S+)")


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """The result of a scenario; each event has the seconds since the session was made."""

    scenario: Scenario
    status: str
    received: str
    events: Sequence[tuple[float, str]]

    @property
    def problem(self) -> str | None:
        """The difference from the expected result, None if there is none."""
        happened = (self.status, " ".join(name for _, name in self.events))
        if happened == ENDS[self.scenario]:
            return None
        return "{}: {} after {}; it should be {} after {}".format(self.scenario, *happened, *ENDS[self.scenario])

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "scenario": self.scenario,
            "ok": self.problem is None,
            "status": self.status,
            "amountReceived": self.received,
            "events": [{"type": f"session.{name}", "seconds": round(seconds, 3)} for seconds, name in self.events],
        }


def play_all(stage: Stage) -> list[ScenarioResult]:
    """Start a server without a configuration, and play every scenario with a session of its own."""
    command = [*own_command(), "serve"]
    server = stage.start("server", command, {"CHECKOUT__SERVER__PORT": "0"})
    url = server.wait_for(_LISTENING)
    client = stage.enter(CheckoutClient(url, server.wait_for(_KEY), max_retries=0))
    return [_play(client, scenario) for scenario in Scenario]


def _play(client: CheckoutClient, scenario: Scenario) -> ScenarioResult:
    made = client.checkout_sessions.create(amount=_PRICE)
    ended = client.test_helpers.pay(made["id"], scenario=scenario.value)
    events = [*client.events.list(resource_id=made["id"])][::-1]
    start = datetime.fromisoformat(made["createdAt"])
    received = f"{ended['amountReceived']['value']} of {ended['amount']['value']} {ended['asset']}"
    times = [(datetime.fromisoformat(event["createdAt"]) - start).total_seconds() for event in events]
    names = [event["type"].removeprefix("session.") for event in events]
    return ScenarioResult(scenario, ended["status"], received, tuple(zip(times, names, strict=True)))

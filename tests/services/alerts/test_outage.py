"""An outage of the database's server is told by each process, without the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from crypto_checkout.core.alerts.alerts import Message
from crypto_checkout.core.errors import MessageNotSent
from crypto_checkout.core.shop import Shop
from crypto_checkout.services.alerts.outage import OutageAlert
from crypto_checkout.services.ledger.health import ReadinessCheck

START = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Channel:
    """Keeps what it is sent, or refuses it."""

    target = "owner@shop.example"

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[Message] = []
        self.refuses = False

    async def send(self, message: Message) -> None:
        if self.refuses:
            raise MessageNotSent("busy")
        self.sent.append(message)


class Scene:
    """A database that fails or not, by a clock of its own."""

    def __init__(self) -> None:
        self.now = START
        self.problem: str | None = None
        self.mail, self.webhook = Channel("mail"), Channel("webhook")
        readiness: Any = self
        self.alert = OutageAlert(
            readiness, [self.mail, self.webhook], Shop("Ada", "https://pay.example"), lambda: self.now, process="1@shop"
        )

    async def checks(self) -> list[ReadinessCheck]:
        return [ReadinessCheck("database", self.problem)]

    async def pass_seconds(self, seconds: int) -> None:
        """Take a turn every ten seconds."""
        for _ in range(0, seconds, 10):
            await self.alert.turn()
            self.now += timedelta(seconds=10)

    def subjects(self) -> list[list[str]]:
        return [[each.subject for each in channel.sent] for channel in (self.mail, self.webhook)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


RAISED, CLEARED = "[Ada] The database needs attention", "[Ada] All clear"


async def test_it_is_told_once_after_a_minute_and_once_when_it_is_over(scene: Scene) -> None:
    with capture_logs() as lines:
        scene.problem = "can't be written"
        await scene.pass_seconds(60)
        assert scene.subjects() == [[], []]
        await scene.pass_seconds(600)
        assert scene.subjects() == [[RAISED], [RAISED]]
        assert "1@shop can't reach its database" in scene.mail.sent[0].text
        assert scene.mail.sent[0].data["raised"][0]["since"] == "2026-12-01T12:00:00.000Z"
        scene.problem = None
        await scene.pass_seconds(600)
    assert scene.subjects() == [[RAISED, CLEARED], [RAISED, CLEARED]]
    assert [each["log_level"] for each in lines] == ["critical", "info"]


async def test_a_short_outage_is_not_told_and_one_that_comes_again_at_once_not_twice(scene: Scene) -> None:
    for problem in ("can't be written", None, "can't be written", None):
        scene.problem = problem
        await scene.pass_seconds(50)
    assert scene.subjects() == [[], []]
    for problem in ("can't be written", None, "can't be written"):
        scene.problem = problem
        await scene.pass_seconds(90 if problem else 50)
    assert scene.subjects() == [[RAISED], [RAISED]]


async def test_a_channel_that_refuses_is_tried_again_and_the_other_is_not(scene: Scene) -> None:
    scene.problem, scene.mail.refuses = "can't be written", True
    await scene.pass_seconds(120)
    assert scene.subjects() == [[], [RAISED]]
    scene.mail.refuses = False
    await scene.pass_seconds(60)
    assert scene.subjects() == [[RAISED], [RAISED]]

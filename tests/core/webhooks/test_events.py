"""The event of each status."""

from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.webhooks.events import EventType, of_status


def test_every_status_but_the_first_has_its_event() -> None:
    told = {status: of_status(status) for status in Status}
    assert told.pop(Status.PENDING) is None
    assert {status: event.value for status, event in told.items() if event} == {
        status: f"session.{status.value}" for status in told
    }


def test_no_type_of_the_contract_is_lost() -> None:
    sessions = "created detected paid paid_late underpaid overpaid expired failed reorged late_payment"
    others = (
        "payment_link.created payment_link.updated payment_link.deleted webhook_endpoint.created "
        "webhook_endpoint.updated webhook_endpoint.deleted webhook_endpoint.disabled customer.created customer.updated "
        "api_key.created api_key.revoked"
    )
    named = {f"session.{name}" for name in sessions.split()} | set(others.split())
    assert named <= {event.value for event in EventType}

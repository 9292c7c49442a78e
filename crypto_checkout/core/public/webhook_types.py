"""The public shape of webhook deliveries; the conventions are those of `core.public.types`."""

from typing import Literal

from typing_extensions import TypedDict

from crypto_checkout.core.public.formats import Moment
from crypto_checkout.core.public.names import DeliveryState, EventName


class AttemptResource(TypedDict):
    """One attempt to deliver an event, and its outcome."""

    number: int
    """The number of the attempt, from 1."""
    startedAt: Moment
    """The time at which it began."""
    durationMs: int
    """Its duration in milliseconds."""
    statusCode: int | None
    """The HTTP status of the answer; null if there was none."""
    error: str | None
    """The cause of a failure without a usable answer: `refused`, `timeout`, `tls` and so on."""
    detail: str | None
    """The cause as a sentence for people; null if the endpoint accepted the event."""
    responseExcerpt: str
    """The beginning of the answer, up to 4 KiB, without secrets and control characters."""


class DeliveryResource(TypedDict):
    """The delivery of an event to an endpoint."""

    object: Literal["webhook_delivery"]
    """The type of this object."""
    eventId: str
    """The delivered event."""
    eventType: EventName
    """The type of the event."""
    endpointId: str
    """The receiving endpoint."""
    status: DeliveryState
    """The status of the delivery."""
    nextAttemptAt: Moment | None
    """The time of the next attempt; null if none follows."""
    attempts: list[AttemptResource]
    """The attempts, oldest first: the newest 20, for as long as attempts are kept."""
    createdAt: Moment
    """The time at which it was first due."""
    updatedAt: Moment
    """The time of the last attempt."""


class ReplayResource(TypedDict):
    """The answer to a replay."""

    object: Literal["webhook_replay"]
    """The type of this object."""
    endpointId: str
    """The receiving endpoint."""
    queued: int
    """The number of deliveries queued again, at most 5000 per replay."""
    hasMore: bool
    """Whether more events were missed: repeat the request to replay the rest."""


class AttemptedResource(TypedDict):
    """The answer to a test of an endpoint: its single attempt."""

    object: Literal["webhook_attempt"]
    """The type of this object."""
    endpointId: str
    """The tested endpoint."""
    succeeded: bool
    """Whether the endpoint accepted the event."""
    attempt: AttemptResource
    """The attempt."""

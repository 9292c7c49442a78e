"""The trail of what was done by whom: its entries and the actions that no event type names."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ActorKind(StrEnum):
    """Who can do something: the owner in the dashboard, the command line, somebody who isn't signed in."""

    OWNER = "owner"
    COMMAND_LINE = "command_line"
    VISITOR = "visitor"


class Action(StrEnum):
    """What no event tells of. What is done to a resource is else named like its event: `api_key.created`."""

    SET_UP = "admin.set_up"
    SIGNED_IN = "admin.signed_in"
    SIGN_IN_REFUSED = "admin.sign_in_refused"
    SIGNED_OUT = "admin.signed_out"
    LOGINS_ENDED = "admin.logins_ended"
    PASSWORD_CHANGED = "admin.password_changed"  # noqa: S105 - the name of an action
    PASSWORD_RESET = "admin.password_reset"  # noqa: S105 - the name of an action
    TOTP_SWITCHED_ON = "admin.totp_switched_on"
    TOTP_SWITCHED_OFF = "admin.totp_switched_off"
    RECOVERY_CODE_USED = "admin.recovery_code_used"
    RECOVERY_CODES_MADE = "admin.recovery_codes_made"
    BACKUP_DOWNLOADED = "backup.downloaded"
    ENDPOINT_TESTED = "webhook_endpoint.tested"
    ENDPOINT_REPLAYED = "webhook_endpoint.replayed"
    SECRET_ROTATED = "webhook_endpoint.secret_rotated"  # noqa: S105 - the name of an action


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, in which login and from which address, where there is one."""

    kind: ActorKind
    login_id: str | None = None
    address: str | None = None


COMMAND_LINE = Actor(ActorKind.COMMAND_LINE)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the trail. `subject` is the id of what it was done to; `livemode` is None for what is of no mode."""

    seq: int
    at: datetime
    actor: Actor
    action: str
    livemode: bool | None
    subject: str | None
    detail: str

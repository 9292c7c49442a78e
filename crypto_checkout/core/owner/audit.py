"""The audit trail: its entries, and the actions that have no event type."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from crypto_checkout.core.rows import one_row_each


class ActorKind(StrEnum):
    """The kinds of actor: the owner in the dashboard, the command line, and a visitor who isn't signed in."""

    OWNER = "owner"
    COMMAND_LINE = "command_line"
    VISITOR = "visitor"


class Action(StrEnum):
    """Actions without an event; any other action has the name of its event, like `api_key.created`."""

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
    ALERTS_TESTED = "alerts.tested"
    MAIL_TESTED = "mail.tested"
    RECEIPT_SENT = "receipt.sent"
    ATTENTION_DISMISSED = "attention.dismissed"
    SETUP_DISMISSED = "setup.dismissed"
    SETUP_RESUMED = "setup.resumed"
    BACKUP_ASKED = "backup.asked"
    BACKUP_DOWNLOADED = "backup.downloaded"
    ENDPOINT_TESTED = "webhook_endpoint.tested"
    ENDPOINT_REPLAYED = "webhook_endpoint.replayed"
    WALLET_COMPARED = "wallet.compared"
    REFUND_TRANSACTION_NAMED = "refund.transaction_named"
    CHAIN_REANCHORED = "chain.reanchored"
    SECRET_ROTATED = "webhook_endpoint.secret_rotated"  # noqa: S105 - the name of an action


ACTIONS: Mapping[Action, str] = one_row_each(
    "core.owner.audit.ACTIONS",
    Action,
    {
        Action.SET_UP: "First password set",
        Action.SIGNED_IN: "Signed in",
        Action.SIGN_IN_REFUSED: "Sign-in refused",
        Action.SIGNED_OUT: "Signed out",
        Action.LOGINS_ENDED: "Logins ended",
        Action.PASSWORD_CHANGED: "Password changed",
        Action.PASSWORD_RESET: "Password reset",
        Action.TOTP_SWITCHED_ON: "Second factor turned on",
        Action.TOTP_SWITCHED_OFF: "Second factor turned off",
        Action.RECOVERY_CODE_USED: "Recovery code used",
        Action.RECOVERY_CODES_MADE: "Recovery codes created",
        Action.ALERTS_TESTED: "Test alert sent",
        Action.MAIL_TESTED: "Test mail sent",
        Action.RECEIPT_SENT: "Receipt sent",
        Action.ATTENTION_DISMISSED: "Issue dismissed",
        Action.SETUP_DISMISSED: "Setup dismissed",
        Action.SETUP_RESUMED: "Setup resumed",
        Action.BACKUP_ASKED: "Backup requested",
        Action.BACKUP_DOWNLOADED: "Backup downloaded",
        Action.ENDPOINT_TESTED: "Webhook tested",
        Action.ENDPOINT_REPLAYED: "Webhook events sent again",
        Action.WALLET_COMPARED: "Wallet confirmed",
        Action.REFUND_TRANSACTION_NAMED: "Refund transaction entered",
        Action.CHAIN_REANCHORED: "Stopped chain resumed",
        Action.SECRET_ROTATED: "Webhook secret replaced",
    },
)
"""The title of each action."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of an action, with the login and the IP address if there is one."""

    kind: ActorKind
    login_id: str | None = None
    address: str | None = None


COMMAND_LINE = Actor(ActorKind.COMMAND_LINE)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the trail. `subject` is the id of the object; `livemode` is None where modes don't apply."""

    seq: int
    at: datetime
    actor: Actor
    action: str
    livemode: bool | None
    subject: str | None
    detail: str

"""The issue of a mail that reached nobody. It names no address: issues are sent by mail too."""

from crypto_checkout.core.alerts.issues import Issue, IssueKind
from crypto_checkout.core.receipts.mail import Mail, MailKind, MailStatus


def of_mail(mail: Mail) -> Issue:
    """Describe a mail that was refused for good, or that the server didn't take for days."""
    is_bounce = mail.status is MailStatus.BOUNCED
    what = {
        MailKind.RECEIPT: "A receipt",
        MailKind.PAID: "The notice of a payment",
        MailKind.DAY: f"The daily email of {mail.subject_id}",
    }[mail.kind]
    to_payer = mail.kind is MailKind.RECEIPT
    return Issue(
        kind=IssueKind.MAIL,
        cause=f"{IssueKind.MAIL}:{mail.kind}:{mail.subject_id}:{mail.round}",
        subject_id=mail.subject_id,
        livemode=mail.livemode,
        words=f"{what} bounced: the mail server refused it."
        if is_bounce
        else f"{what} could not be sent for two days.",
        advice=(
            "Check the customer's address, and send the receipt again."
            if to_payer and is_bounce
            else "Check [mail] in the configuration, and send a test."
        ),
        since=mail.next_attempt_at,
        path=f"/payments/{mail.subject_id}" if to_payer else "/settings/mail",
    )

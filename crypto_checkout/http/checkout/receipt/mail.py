"""The mail with a receipt, as text and as HTML, in the payer's language."""

from urllib.parse import urlsplit

from crypto_checkout.core.receipts.mail import MailText
from crypto_checkout.core.receipts.receipt import item
from crypto_checkout.http import templating
from crypto_checkout.http.checkout.branding import colors
from crypto_checkout.http.checkout.branding.shop import Branding
from crypto_checkout.http.checkout.translations import LANGUAGES, Translations, load
from crypto_checkout.services.receipts.reader import ShownReceipt


class ReceiptMail:
    """Writes receipts for payers; a shop without a name is called by its host."""

    def __init__(self, branding: Branding, public_url: str) -> None:
        self._branding = branding
        self._shop = branding.name or urlsplit(public_url).hostname or public_url
        self._templates = templating.environment()

    def write(self, shown: ShownReceipt, chain_name: str) -> MailText:
        """Write the mail of a receipt."""
        code = shown.language if shown.language in LANGUAGES else "en"
        words = load(code)
        session, number = shown.session, shown.receipt.name
        facts = _facts(words, shown, chain_name)
        thanks = words.text("receipt_mail_thanks", price=words.money(shown.received), shop=self._shop)
        url = f"{session['receiptUrl']}?lang={code}"
        html = self._templates.get_template("checkout/receipt_mail.html").render(
            t=words,
            title=words.text("receipt", number=number),
            thanks=thanks,
            facts=facts,
            url=url,
            shop=self._shop,
            branding=self._branding,
            button=colors.button(self._branding.color or colors.BLUE),
            livemode=session["livemode"],
        )
        return MailText(
            words.text("receipt_mail_subject", number=number, shop=self._shop),
            self._text(words, shown, thanks, facts, url),
            html,
        )

    def _text(
        self, words: Translations, shown: ShownReceipt, thanks: str, facts: list[tuple[str, str]], url: str
    ) -> str:
        contacts = [each for each in (self._branding.support_email, self._branding.support_url) if each]
        lines = [
            *([words.text("test_banner"), ""] if not shown.session["livemode"] else []),
            thanks,
            "",
            words.text("receipt", number=shown.receipt.name),
            *(f"{name}{words.colon}{words.isolated(_one_line(value))}" for name, value in facts),
            "",
            words.text("receipt_mail_keep"),
            url,
            "",
            *([f"{words.text('questions')} {' '.join(contacts)}", ""] if contacts else []),
            words.text("receipt_mail_why"),
        ]
        return "\n".join(lines) + "\n"


def _facts(words: Translations, shown: ShownReceipt, chain_name: str) -> list[tuple[str, str]]:
    """Return what the mail lists, each with its name."""
    session = shown.session
    received = str(words.money(session["amountReceived"]))
    if shown.received != session["fiat"]:
        received += f" ({words.money(shown.received)})"
    found = [
        (words.text("item"), item(shown.receipt.title, session["quantity"])),
        (words.text("price"), words.money(session["fiat"])),
        (words.text("received"), received),
        (words.text("network"), chain_name),
        (words.text("paid_on"), words.moment(session["paidAt"]) if session["paidAt"] else None),
        (words.text("transaction"), session["txHash"]),
    ]
    return [(name, value) for name, value in found if value is not None]


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""Mails to payers, with a receipt or about a refund, as text and as HTML, in the payer's language."""

from urllib.parse import urlsplit

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.money import format_units
from crypto_checkout.core.receipts.mail import MailText
from crypto_checkout.core.receipts.receipt import item
from crypto_checkout.core.refunds.refund import Refund
from crypto_checkout.http import templating
from crypto_checkout.http.checkout.branding import colors
from crypto_checkout.http.checkout.branding.shop import Branding
from crypto_checkout.http.checkout.translations import LANGUAGES, Translations, load
from crypto_checkout.services.receipts.reader import ShownReceipt


class PayerTexts:
    """Writes mails to payers. A shop without a name is called by its host; an unknown language becomes English."""

    def __init__(self, branding: Branding, public_url: str) -> None:
        self._branding = branding
        self._shop = branding.name or urlsplit(public_url).hostname or public_url
        self._templates = templating.environment()

    def receipt(self, shown: ShownReceipt, chain_name: str) -> MailText:
        """Write the mail of a receipt."""
        words = _words(shown.language)
        session, number = shown.session, shown.receipt.name
        return self._write(
            words,
            words.text("receipt_mail_subject", number=number, shop=self._shop),
            title=words.text("receipt", number=number),
            opening=words.text("receipt_mail_thanks", price=words.money(shown.received), shop=self._shop),
            facts=_facts(words, shown, chain_name),
            url=f"{session['receiptUrl']}?lang={words.code}",
            livemode=session["livemode"],
        )

    def refund_code(self, refund: Refund, destination: Address, code: str, language: str) -> MailText:
        """Write the mail with a code that proves the address of a refund."""
        words = _words(language)
        return self._write(
            words,
            words.text("refund_mail_code", code=code),
            title=words.text("refund_title"),
            opening=words.text("refund_mail_asked", shop=self._shop),
            facts=_refund_facts(words, refund, destination),
            note=words.text("refund_mail_enter", code=code),
            livemode=refund.livemode,
        )

    def refund_approved(self, refund: Refund, language: str | None) -> MailText:
        """Write the mail that names the address to which a refund goes."""
        assert refund.destination is not None, "it was approved"
        words = _words(language)
        return self._write(
            words,
            words.text("refund_mail_approved"),
            title=words.text("refund_title"),
            opening=words.text("refund_approved"),
            facts=_refund_facts(words, refund, refund.destination),
            note=words.text("refund_mail_wrong"),
            livemode=refund.livemode,
        )

    def _write(
        self,
        words: Translations,
        subject: str,
        *,
        title: str,
        opening: str,
        facts: list[tuple[str, str]],
        livemode: bool,
        note: str = "",
        url: str = "",
    ) -> MailText:
        """Write a mail; `note` follows the facts, and `url` leads to a receipt."""
        contacts = [each for each in (self._branding.support_email, self._branding.support_url) if each]
        lines = [
            *([words.text("test_banner"), ""] if not livemode else []),
            title,
            "",
            opening,
            "",
            *(f"{name}{words.colon}{words.isolated(_one_line(value))}" for name, value in facts),
            "",
            *([note, ""] if note else []),
            *([words.text("receipt_mail_keep"), url, ""] if url else []),
            *([f"{words.text('questions')} {' '.join(contacts)}", ""] if contacts else []),
            words.text("receipt_mail_why"),
        ]
        html = self._templates.get_template("checkout/mail.html").render(
            t=words,
            title=title,
            opening=opening,
            facts=facts,
            note=note,
            url=url,
            shop=self._shop,
            branding=self._branding,
            button=colors.button(self._branding.color or colors.BLUE),
            livemode=livemode,
        )
        return MailText(subject, "\n".join(lines) + "\n", html)


def _words(language: str | None) -> Translations:
    return load(language if language is not None and language in LANGUAGES else "en")


def _refund_facts(words: Translations, refund: Refund, destination: Address) -> list[tuple[str, str]]:
    amount = f"{format_units(refund.units, refund.asset.decimals)} {refund.asset.symbol}"
    return [(words.text("address"), checksum(destination)), (words.text("amount"), amount)]


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

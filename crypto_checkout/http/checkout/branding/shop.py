"""The shop as its payers see and reach it: name, logo, color, and where to ask."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from crypto_checkout.http.checkout.branding import colors

LOGO_PATH = "/branding/logo"


@dataclass(frozen=True, slots=True)
class Branding:
    """The shop's name, looks and contacts; each may be empty. `color` is `#rrggbb`."""

    name: str = ""
    logo: Path | None = None
    color: str = ""
    support_email: str = ""
    support_url: str = ""
    terms_url: str = ""

    @property
    def stylesheet(self) -> str:
        """The stylesheet of the color; empty without one."""
        return colors.stylesheet(self.color) if self.color else ""

    @property
    def stylesheet_url(self) -> str:
        """The stylesheet's URL, which changes with it, so that it may be cached for good; empty without a color."""
        sheet = self.stylesheet
        return f"{colors.PATH}?v={hashlib.sha256(sheet.encode()).hexdigest()[:12]}" if sheet else ""

    @property
    def logo_url(self) -> str:
        """The logo's URL; empty without one."""
        return LOGO_PATH if self.logo else ""

    @property
    def can_be_asked(self) -> bool:
        """True if payers can be told where to ask."""
        return bool(self.support_email or self.support_url)

    def mail_link(self, subject: str) -> str:
        """Return a link that begins a mail to the shop (RFC 6068)."""
        to = f"mailto:{quote(self.support_email, safe='@')}"
        return f"{to}?subject={quote(subject, safe='')}" if subject else to

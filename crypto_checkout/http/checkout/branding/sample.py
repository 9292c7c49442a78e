"""A sample payment page with branding that isn't configured yet, for the dashboard; nobody can pay on it.

Its address belongs to an example and its chain is simulated, so it has the banner of test mode and no scripts.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.payment import ShownPayments
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.public import examples, render
from crypto_checkout.http.checkout.arrivals import SessionPage
from crypto_checkout.http.checkout.branding import logos
from crypto_checkout.http.checkout.branding.shop import Branding
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import negotiate
from crypto_checkout.http.checkout.view import Code, PayerChain, view

_SCRIPT = re.compile(r"<script\b.*?</script>\s*", re.DOTALL)

Problems = Mapping[str, str]

_CHAIN = PayerChain("Sandbox", "", native_symbol="ETH")


@dataclass(frozen=True, slots=True)
class _SampleBranding(Branding):
    """Branding whose files are served from the dashboard."""

    base: str = ""
    query: str = ""

    @property
    def stylesheet_url(self) -> str:
        """The stylesheet's URL; empty without a color."""
        return f"{self.base}/colors.css?{self.query}" if self.color else ""

    @property
    def logo_url(self) -> str:
        """The logo's URL; empty without one."""
        return f"{self.base}/logo?{self.query}" if self.logo else ""


class SamplePages:
    """Renders the page; `read` turns values by the configuration's keys into branding, or into problems by key."""

    def __init__(self, read: Callable[[Mapping[str, str]], Branding | Problems], public_url: str, clock: Clock) -> None:
        self._read = read
        self._public_url = public_url
        self._clock = clock

    def problems(self, values: Mapping[str, str]) -> Problems:
        """Return the problems of values by key; empty if they are fine."""
        found = self._read(values)
        return {} if isinstance(found, Branding) else found

    def page(self, values: Mapping[str, str], base: str, accept_language: str) -> str | None:
        """Return the page as HTML, its files below the path `base`; None for values with problems."""
        found = self._read(values)
        if not isinstance(found, Branding):
            return None
        sample = _SampleBranding(
            found.name,
            found.logo,
            found.color,
            found.support_email,
            found.support_url,
            found.terms_url,
            base=base,
            query=urlencode({key: value for key, value in values.items() if value}),
        )
        now = self._clock()
        session = render.session(examples.session(now), ShownPayments(), Tip(1, now), self._public_url)
        shown = view(session, chain=_CHAIN, now=now, code=Code.ADDRESS)
        renderer = CheckoutRenderer(branding=sample, public_url=self._public_url)
        words = negotiate(None, None, accept_language)
        page = renderer.render(
            "session.html",
            words,
            path=base,
            # A page that loads itself again would lose its place in the dashboard.
            query={"refresh": "0"},
            **SessionPage(shown).context(),
        )
        # It has no use for scripts, and a browser that blocks them says so in its console.
        return _SCRIPT.sub("", bytes(page.body).decode())

    def stylesheet(self, values: Mapping[str, str]) -> str:
        """Return the stylesheet of the color; empty without one."""
        found = self._read(values)
        return found.stylesheet if isinstance(found, Branding) else ""

    def logo(self, values: Mapping[str, str]) -> tuple[Path, str, Mapping[str, str]] | None:
        """Return the file of the logo, its media type and its headers; None without one."""
        found = self._read(values)
        if not isinstance(found, Branding) or found.logo is None or not found.logo.is_file():
            return None
        return found.logo, logos.media_type(found.logo), logos.HEADERS

"""Templates into answers, for payers."""

from starlette.responses import HTMLResponse

from crypto_checkout.http import printing


class Paper:
    """What pages are printed on: templates, with the shop's name and logo on each of them."""

    def __init__(self, *, shop_name: str, has_logo: bool) -> None:
        self._templates = printing.environment()
        self._templates.globals |= {"shop_name": shop_name, "has_logo": has_logo}

    def page(self, template: str, *, status: int = 200, **content: object) -> HTMLResponse:
        """Print a page."""
        text = self._templates.get_template(f"checkout/{template}").render(content)
        return HTMLResponse(text, status_code=status, headers=printing.HEADERS)

"""Settings, Shop: the shop as payers see it, and other branding tried on a sample payment page."""

from collections.abc import Mapping

from starlette.responses import FileResponse, HTMLResponse, Response

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.http.dashboard.frame.forms import Form, sentence
from crypto_checkout.http.dashboard.frame.proposals import proposal
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.reporting import config_snippets

PATH = "/settings/shop"

_FIELDS = {
    "name": 80,
    "color": 7,
    "logo": 500,
    "support_email": 254,
    "support_url": 2_000,
    "terms_url": 2_000,
    "address": 700,
    "tax_number": 80,
}
"""The keys of the configuration, and the most characters of each."""
_IN_LINES = "address"

_FRAMED = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'; sandbox allow-same-origin"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The headers of the sample page: it may be shown in a frame of the dashboard, runs no script, and sends no form.

It keeps its origin, so that browsers send the login for its stylesheet and logo.
"""


async def show(request: DashboardRequest) -> Response:
    """Show the shop's branding on a sample page."""
    return _page(request, request.services.settings.branding)


async def preview(request: DashboardRequest) -> Response:
    """Show other branding on a sample page, and the lines for it."""
    values = _values(request.form)
    problems = request.services.shop_sample.problems(values)
    request.form.errors.update({name: sentence(problem) for name, problem in problems.items()})
    if not request.form.is_valid:
        return _page(request, request.services.settings.branding, status=400)
    now = request.services.settings.branding
    changed = {name: value for name, value in values.items() if value != now.get(name, "")}
    found = await proposal(request, config_snippets.branding(changed)) if changed else None
    return _page(request, values, proposal=found, is_tried=True)


async def sample(request: DashboardRequest) -> Response:
    """Show the sample page by itself."""
    base = request.url(f"{PATH}/sample")
    language = request.http.headers.get("accept-language", "")
    page = request.services.shop_sample.page(_queried(request), base, language)
    if page is None:
        raise ResourceNotFound("There is no sample for these values.")
    return HTMLResponse(page, headers=_FRAMED)


async def sample_colors(request: DashboardRequest) -> Response:
    """Send the stylesheet of the sample page's color."""
    sheet = request.services.shop_sample.stylesheet(_queried(request))
    return Response(sheet, media_type="text/css", headers={"X-Content-Type-Options": "nosniff"})


async def sample_logo(request: DashboardRequest) -> Response:
    """Send the logo of the sample page."""
    found = request.services.shop_sample.logo(_queried(request))
    if found is None:
        raise ResourceNotFound("There is no logo.")
    file, media_type, headers = found
    return FileResponse(file, media_type=media_type, headers={**headers, "Cache-Control": "no-store"})


def _queried(request: DashboardRequest) -> Mapping[str, str]:
    values = _values(Form({name: [value] for name, value in request.query_params.items()}))
    return {name: value[: _FIELDS[name]] for name, value in values.items()}


def _values(form: Form) -> Mapping[str, str]:
    # Browsers send the ends of lines as CR LF.
    return {
        name: "\n".join(form.text(name, most, optional=True, lines=name == _IN_LINES).splitlines())
        for name, most in _FIELDS.items()
    }


def _page(
    request: DashboardRequest, values: Mapping[str, str], *, status: int = 200, is_tried: bool = False, **more: object
) -> Response:
    response = request.render(
        "settings/shop.html",
        status=status,
        values=values,
        is_tried=is_tried,
        sample_url=request.url(f"{PATH}/sample", {name: values.get(name, "") for name in _FIELDS}),
        **{"proposal": None, **more},
    )
    response.headers["Content-Security-Policy"] += "; frame-src 'self'"
    return response


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("POST", PATH, preview),
    DashboardPage("GET", f"{PATH}/sample", sample),
    DashboardPage("GET", f"{PATH}/sample/colors.css", sample_colors),
    DashboardPage("GET", f"{PATH}/sample/logo", sample_logo),
)

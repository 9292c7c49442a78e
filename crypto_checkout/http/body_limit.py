"""Read request bodies, up to a limit."""

from typing import NoReturn
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from crypto_checkout.core.errors import BodyTooLarge, UnsupportedContentType
from crypto_checkout.http.headers import header

MOST_BYTES = 64 * 1024


async def read(request: Request) -> bytes:
    """Return the body. Raises BodyTooLarge without reading the rest, and UnsupportedContentType if it is compressed."""
    coding = header(request.scope, b"content-encoding").strip().lower()
    if coding not in {"", "identity"}:
        raise UnsupportedContentType("Send the body as it is, without Content-Encoding: this server unpacks nothing.")
    declared = header(request.scope, b"content-length")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > MOST_BYTES:
        _refuse_size()
    received, is_whole = bytearray(), False
    while not is_whole:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        received += message.get("body", b"")
        if len(received) > MOST_BYTES:
            _refuse_size()
        is_whole = not message.get("more_body", False)
    return bytes(received)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that anybody may send: what isn't UTF-8 is replaced. Raises as `read` does."""
    return dict(parse_qsl((await read(request)).decode("utf-8", "replace"), keep_blank_values=True))


def _refuse_size() -> NoReturn:
    raise BodyTooLarge(f"The body is over the limit of {MOST_BYTES // 1024} KiB.")

"""The file of the shop's logo, as it is sent."""

from pathlib import Path

_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}

HEADERS = {
    # An SVG opened by itself is a document, which could contain scripts.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=600",
}


def media_type(logo: Path) -> str:
    """Return the media type of a logo, by its suffix."""
    return _TYPES.get(logo.suffix.lower(), "application/octet-stream")

"""The shop as messages to its owner name it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shop:
    """The shop's name in messages, and the URL of the server."""

    name: str
    public_url: str

    def page(self, livemode: bool | None, path: str) -> str:
        """Return the URL of a page of the dashboard, which has test mode under a path of its own."""
        return f"{self.public_url}/dashboard{'/test' if livemode is False else ''}{path}"

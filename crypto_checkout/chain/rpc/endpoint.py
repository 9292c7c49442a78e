"""An RPC endpoint: its URL, and the headers that go with each request. Both may hold access keys."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class NodeEndpoint:
    """A URL and headers; never show more of them than `name`, the host."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The host, with its port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def secrets(self) -> Iterator[str]:
        """Yield the parts that may be keys, the longest first, so that no part of one remains once they are cut."""
        parts = urlsplit(self.url)
        pieces = {parts.username, parts.password, *parts.path.split("/"), *parts.query.replace("=", "&").split("&")}
        for value in self.headers.values():
            pieces |= {value, *value.split()}
        written = {form for each in pieces if each for form in (each, unquote(each))}
        yield from sorted((each for each in written if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)

"""The types of value in checkout.toml, each with a phrase for the operator that completes "expected …".

A validator here checks one value by itself; `config.contradictions` compares keys. Nothing here opens a connection, and
the disk is read only to see that the logo exists.
"""

import base64
import re
from collections.abc import Iterable
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator

from crypto_checkout.core.urls import is_ip

SANDBOX_CHAIN_ID = 1337
IMAGE_SUFFIXES = (".svg", ".png", ".jpg", ".jpeg", ".webp")

_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
_LEAST_SECRET_BYTES = 24
_VARIABLE = re.compile(r"\$(\{|[A-Za-z_])")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, section 5.1
_OUR_HEADERS = {"content-type", "content-length", "content-encoding", "host", "connection", "transfer-encoding"}
_SYMBOL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}"
_PRIVATE_NETWORKS = [ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


def between(low: float, high: float) -> AfterValidator:
    """Make a validator for numbers from `low` to `high`, both included."""

    def check(number: float) -> float:
        # In this form it refuses nan too, which TOML has.
        if not low <= number <= high:
            raise ValueError(f"a number from {low} to {high}")
        return number

    return AfterValidator(check)


def at_least(low: int) -> AfterValidator:
    """Make a validator for whole numbers from `low` up."""

    def check(number: int) -> int:
        if number < low:
            raise ValueError(f"a number from {low} up")
        return number

    return AfterValidator(check)


def one_of(names: Iterable[str]) -> AfterValidator:
    """Make a validator for one of several names."""
    known = tuple(names)

    def check(name: str) -> str:
        if name not in known:
            raise ValueError("one of " + ", ".join(f'"{each}"' for each in known))
        return name

    return AfterValidator(check)


def decimal_text(low: str, high: str) -> PlainValidator:
    """Make a reader of decimal numbers written as text, from `low` to `high`, both included."""
    wanted = f"a number from {low} to {high} in quotes"

    def read(value: Any) -> Decimal:
        if isinstance(value, Decimal):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            # pydantic collects only ValueErrors, here and below.
            raise ValueError(f'{wanted}: "{value}" (without them it would be a binary fraction)')  # noqa: TRY004
        if not isinstance(value, str) or not re.fullmatch(r"\d{1,30}(\.\d{1,30})?", value, re.ASCII):
            raise ValueError(wanted)
        if not Decimal(low) <= Decimal(value) <= Decimal(high):
            raise ValueError(wanted)
        return Decimal(value)

    return PlainValidator(read)


def pattern(expression: str, wanted: str) -> AfterValidator:
    """Make a validator for text that matches a regular expression as a whole."""

    def check(text: str) -> str:
        if not re.fullmatch(expression, text, re.ASCII):
            raise ValueError(wanted)
        return text

    return AfterValidator(check)


def without_repeats(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list with an entry twice."""
    for position, item in enumerate(items):
        if item in items[:position]:
            # By number: the URL of a node may contain a key.
            raise ValueError(f"each entry once; numbers {items.index(item) + 1} and {position + 1} are the same")
    return items


def not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list without entries."""
    # pydantic's own min_length would complain a second time about a list whose only entry is wrong.
    if not items:
        raise ValueError("at least one entry")
    return items


def label(longest: int) -> AfterValidator:
    """Make a validator for short displayed text: one line, no control characters."""

    def check(text: str) -> str:
        if len(text) > longest or not text.isprintable():
            raise ValueError(f"one line of at most {longest} printable characters")
        return text.strip()

    return AfterValidator(check)


def not_blank(text: str) -> str:
    """Refuse empty text."""
    if not text.strip():
        raise ValueError("text that is not empty")
    return text


# --- network addresses -----------------------------------------------------------------------------------------------


def _split(url: str, schemes: tuple[str, ...]) -> SplitResult:
    wanted = f"an absolute URL ({' or '.join(f'{scheme}://…' for scheme in schemes)})"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in schemes or not parts.hostname or port == 0 or not url.isprintable() or " " in url:
        raise ValueError(wanted)
    if not is_ip(parts.hostname) and not _HOST.fullmatch(parts.hostname):
        raise ValueError(wanted)
    return parts


def is_near(host: str) -> bool:
    """Tell whether a host is this machine or in a private network, where http is acceptable."""
    if not is_ip(host):
        return host == "localhost" or host.endswith((".localhost", ".local"))
    address = ip_address(host)
    return address.is_loopback or any(address in network for network in _PRIVATE_NETWORKS)


def _public_url(text: str) -> str:
    parts = _split(text, ("https", "http"))
    if parts.username is not None or parts.path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError("scheme, host and port only (https://pay.example.com): no path, query or credentials")
    if parts.scheme == "http" and not is_near(parts.hostname or ""):
        raise ValueError("https:// in front of a public host; http is for this machine and private networks")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _origin(text: str) -> str:
    parts = _split(text, ("https", "http"))
    # Content-Security-Policy would read other characters as separators.
    if (
        parts.username is not None
        or parts.path not in ("", "/")
        or "?" in text
        or "#" in text
        or not parts.netloc.isascii()
    ):
        raise ValueError("scheme and host only (https://shop.example.com): no path, query or wildcard")
    if parts.scheme == "http" and not is_near(parts.hostname or ""):
        raise ValueError("https:// in front of a public host; http is for this machine and private networks")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _wallet_rpc_url(text: str) -> str:
    if text and _split(text, ("https", "http")).username is not None:
        raise ValueError("a public URL without credentials: every payer can read it")
    return text


def _rpc_url(text: str) -> str:
    if text.partition(":")[0].lower() in {"wss", "ws"}:
        raise ValueError("the provider's https:// URL: the server asks over HTTP, and providers offer both")
    if _VARIABLE.search(text):
        raise ValueError(
            "the URL as it is sent: variables are filled in headers only. Write the key itself, or name the node under "
            "[[chains.providers]] with the key in a header"
        )
    _split(text, ("https", "http"))
    return text


def _header_name(text: str) -> str:
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError("the name of a header, like Authorization")
    if text.lower() in _OUR_HEADERS:
        raise ValueError("another header: this one is the server's own")
    return text


def _header_value(text: str) -> str:
    if not text.strip() or not text.isascii() or not text.isprintable():
        raise ValueError("the value of a header: one line of ASCII characters")
    return text.strip()


def _explorer_url(text: str) -> str:
    if text:
        _split(text, ("https", "http"))
    return text.rstrip("/")


def _optional_url(text: str) -> str:
    if text:
        _split(text, ("https", "http"))
    return text


def _optional_page_url(text: str) -> str:
    wanted = "the address of a web page, https://… for a public host"
    if text:
        parts = _split(text, ("https", "http"))
        if parts.username is not None or (parts.scheme == "http" and not is_near(parts.hostname or "")):
            raise ValueError(wanted)
    return text


def _optional_plain_url(text: str) -> str:
    if text and (_split(text, ("https",)).username is not None or "?" in text or "#" in text):
        raise ValueError("an https:// URL without credentials or a query: asking must tell nothing about the shop")
    return text


def _color(text: str) -> str:
    if text and not _COLOR.fullmatch(text):
        raise ValueError('a color like "#1d55c9"')
    return text.lower()


def _optional_host(text: str) -> str:
    return _bind_host(text) if text else text


def _mailbox(text: str) -> str:
    if not _MAILBOX.fullmatch(text):
        raise ValueError('an email address like "ada@example.com"')
    return text


def _webhook_secret(text: str) -> str:
    # The text itself is never repeated.
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if text and (not text.startswith("whsec_") or len(key) < _LEAST_SECRET_BYTES):
        raise ValueError("whsec_ and then the base64 of at least 24 random bytes")
    return text


def _bind_host(text: str) -> str:
    if not is_ip(text) and not _HOST.fullmatch(text):
        raise ValueError('an IP address or host name to listen on, like "127.0.0.1" or "0.0.0.0"')
    return text


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    wanted = 'an IP address or network in quotes, like "10.0.0.1" or "10.0.0.0/8"'
    if not isinstance(value, str):
        raise ValueError(wanted)  # noqa: TRY004
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"{wanted} ({error})" if "host bits" in str(error) else wanted) from None


# --- coins -----------------------------------------------------------------------------------------------------------


def _xpub(text: str) -> str:
    if not text.strip():
        return ""
    # Imported here, because a shop in test mode needs no curve arithmetic.
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey

    try:
        return str(ExtendedPublicKey.parse(text))
    except ValueError as error:
        raise ValueError(f"another key: {error}") from None


def _token_address(text: str) -> str:
    from crypto_checkout.core.address import parse

    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"the token's contract address: {error}") from None


def _cold_address(text: str) -> str:
    if not text.strip():
        return ""
    from crypto_checkout.core.collect.destination import parse_destination

    try:
        return parse_destination(text)
    except ValueError as error:
        raise ValueError(f"an address of your own: {error}") from None


def _own_address(text: str) -> str:
    from crypto_checkout.core.address import parse

    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"an address of your own wallet: {error}") from None


def _chain_id(number: int) -> int:
    if number == SANDBOX_CHAIN_ID:
        raise ValueError(f"another chain: {SANDBOX_CHAIN_ID} is the simulated chain of test mode")
    if not 1 <= number < 2**53:
        raise ValueError("the chain's number, from 1 up")
    return number


def _start_block(value: Any) -> int | str:
    if value == "latest" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value if isinstance(value, str) else int(value)
    raise ValueError('"latest", or the number of the first block to look at')


def _logo(value: Any) -> Any:
    if value == "" or value is None:
        return None
    wanted = f"an existing image file ({', '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)})"
    if not isinstance(value, str | Path) or Path(value).suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(wanted)
    if not Path(value).is_file():
        raise ValueError(f"{wanted}; there is none at {value}")
    return Path(value)


def _key_file(value: Any) -> Any:
    return None if value == "" or value is None else _file(value)


def _file(value: Any) -> Any:
    if not isinstance(value, str | Path) or not str(value).strip() or str(value).endswith("/"):
        raise ValueError("the path of a file, in quotes")
    return Path(value)


Label = Annotated[str, label(80)]
Name = Annotated[str, label(80), AfterValidator(not_blank)]
BindHost = Annotated[str, AfterValidator(_bind_host)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
ApiKey = Annotated[str, AfterValidator(lambda text: _header_value(text) if text.strip() else "")]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
RpcUrl = Annotated[str, AfterValidator(_rpc_url)]
Origin = Annotated[str, AfterValidator(_origin)]
WalletRpcUrl = Annotated[str, AfterValidator(_wallet_rpc_url)]
OptionalUrl = Annotated[str, AfterValidator(_optional_url)]
OptionalPageUrl = Annotated[str, AfterValidator(_optional_page_url)]
OptionalPlainUrl = Annotated[str, AfterValidator(_optional_plain_url)]
Color = Annotated[str, AfterValidator(_color)]
OptionalHost = Annotated[str, AfterValidator(_optional_host)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
OptionalMailbox = Annotated[str, AfterValidator(lambda text: _mailbox(text) if text else text)]
WebhookSecret = Annotated[str, AfterValidator(_webhook_secret)]
ExplorerUrl = Annotated[str, AfterValidator(_explorer_url)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Xpub = Annotated[str, AfterValidator(_xpub)]
ColdAddress = Annotated[str, AfterValidator(_cold_address)]
ColdLabel = Annotated[str, label(80)]
OwnAddress = Annotated[str, AfterValidator(_own_address)]
TokenAddress = Annotated[str, AfterValidator(_token_address)]
Symbol = Annotated[str, pattern(_SYMBOL, "a symbol like USDC: up to 16 letters, digits, dots and dashes")]
Pair = Annotated[str, pattern(_SYMBOL + "/[A-Z]{3}", 'a pair like "ETH/USD"')]
Price = Annotated[Decimal, decimal_text("0.000000000000000001", "1000000000000")]
ChainId = Annotated[int, AfterValidator(_chain_id)]
StartBlock = Annotated[int | Literal["latest"], PlainValidator(_start_block)]
LogoFile = Annotated[Path | None, BeforeValidator(_logo)]
KeyFile = Annotated[Path | None, BeforeValidator(_key_file)]
DatabaseFile = Annotated[Path, BeforeValidator(_file)]

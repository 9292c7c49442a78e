"""`crypto-checkout verify-receipt`: tell whether a signed receipt is genuine, and what it states."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from crypto_checkout.cli.support.options import json_option
from crypto_checkout.cli.support.setup import fail, print_json
from crypto_checkout.core.urls import redirect_objection

_KEYS_PATH = "/.well-known/jwks.json"
_SECONDS = 20
_MOST_BYTES = 1_000_000
_LATEST = 10**11


@click.command("verify-receipt")
@click.argument("receipt", metavar="FILE|URL")
@click.option("--key", "key", metavar="FILE|URL", help="The shop's key set (jwks.json). With files nothing is fetched.")
@json_option
def verify_receipt(receipt: str, key: str | None, *, as_json: bool) -> None:
    """Verify a signed receipt (receipt.jws).

    Without --key the key is fetched from the server that the receipt names: then it proves what that server says, so
    check that this is the shop's. The exit code is 0 if the signature is right and the receipt is valid.
    """
    from crypto_checkout import jws

    text = _read(receipt).decode("utf-8", "replace")
    try:
        signed = jws.parse(text)
        claims = _claims(signed)
        issuer = claims["iss"].rstrip("/")
        keys = jws.read_jwks(_json(_read(key or issuer + _KEYS_PATH), key or issuer + _KEYS_PATH))
    except jws.JwsInvalid as error:
        fail(f"{receipt} can't be verified: {error}.")
    public = keys.get(signed.kid or "")
    if public is None:
        fail(f"{receipt} is signed with a key that isn't in {key or issuer + _KEYS_PATH}: it proves nothing.")
    if not jws.is_signed_by(signed, public):
        fail(f"{receipt} was changed, or never signed with this key: its signature is wrong.")
    if _is_url(receipt) and not receipt.startswith(f"{issuer}/"):
        fail(f"{receipt} isn't at the server that it names, {issuer}.")
    if as_json:
        print_json(claims)
    else:
        for line in _lines(claims, key is not None):
            # The shop's words, and those of a payer: nothing in them may move the cursor.
            click.echo("".join(each if each.isprintable() else " " for each in line))
    if claims["status"] != "valid":
        raise click.exceptions.Exit(1)


def _read(place: str) -> bytes:
    """Return what is in a file or at a URL; a stranger may have named either, so it is read up to a size and a time."""
    try:
        content = _fetched(place) if _is_url(place) else _file(place)
    except OSError as error:
        fail(f"{place} can't be read: {error.strerror}.")
    if len(content) > _MOST_BYTES:
        fail(f"{place} is larger than any receipt.")
    return content


def _file(place: str) -> bytes:
    with Path(place).open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _fetched(place: str) -> bytes:
    import httpx

    content, until = bytearray(), time.monotonic() + _SECONDS
    try:
        with httpx.stream("GET", place, headers={"Accept-Encoding": "identity"}, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            for part in answer.iter_raw():
                content += part
                if time.monotonic() > until:
                    fail(f"{place} can't be fetched within {_SECONDS} s.")
                if len(content) > _MOST_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"{place} can't be fetched: {error}")
    return bytes(content)


def _is_url(place: str) -> bool:
    return place.startswith(("https://", "http://"))


def _is_issuer(text: str) -> bool:
    """Tell whether a text is the plain URL of a server: it is fetched, and shown on a terminal."""
    return redirect_objection(text, livemode=False) is None and not set(text) & set("?#")


def _json(content: bytes, place: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        fail(f"{place} is not JSON.")


def _claims(signed: Any) -> Mapping[str, Any]:
    """Return the claims of a receipt. Raises JwsInvalid for something else that is signed."""
    from pydantic import TypeAdapter, ValidationError

    from crypto_checkout import jws
    from crypto_checkout.core.public.receipts import MEDIA_TYPE, ReceiptClaims

    if signed.header.get("typ") != MEDIA_TYPE:
        raise jws.JwsInvalid("it is signed, but not a receipt")
    try:
        claims: Mapping[str, Any] = TypeAdapter(ReceiptClaims).validate_json(signed.payload, strict=True)
    except ValidationError as error:
        places = {".".join(map(str, each["loc"])) or "its content" for each in error.errors()}
        raise jws.JwsInvalid(f"these are not as in a receipt: {', '.join(sorted(places)[:5])}") from None
    if not _is_issuer(claims["iss"]) or not 0 <= claims["iat"] < _LATEST:
        raise jws.JwsInvalid("it doesn't say who signed it and when")
    return claims


def _lines(claims: Mapping[str, Any], is_offline: bool) -> Iterator[str]:
    """Yield what holds, in words."""
    from crypto_checkout.core.receipts.receipt import item

    signed_at = datetime.fromtimestamp(claims["iat"], UTC)
    yield f"The signature is right: {claims['iss']} signed this on {signed_at:%Y-%m-%d %H:%M} UTC."
    if not is_offline:
        yield f"Its key was fetched from {claims['iss']} just now: check that this is the shop's server."
    seller = claims["seller"]["name"] or claims["iss"]
    if claims["status"] == "valid":
        yield f"Receipt {claims['number']} of {seller} is valid."
    else:
        yield f"Receipt {claims['number']} of {seller} is VOID: the network reversed the payment."
    if not claims["livemode"]:
        yield "It is of test mode: no real money moved."
    paid, price, sold = claims["amountReceived"], claims["fiat"], item(claims["title"], claims["quantity"])
    worth = claims["fiatReceived"]
    which = "" if worth == price else f", worth {worth['amount']} {worth['currency']},"
    yield (
        f"It states that {paid['value']} {paid['asset']}{which} were paid for {price['amount']} {price['currency']}"
        f"{f' ({sold})' if sold else ''} on {claims['paidAt']}, to {claims['address']} on "
        f"chain {claims['chainId']}:"
    )
    for each in claims["transfers"]:
        name = each["txHash"] or "a transfer without a transaction of its own"
        coins = f"{each['amount']['value']} {each['amount']['asset']}"
        yield f"  {coins}: {name}, in block {each['blockNumber']} ({each['blockHash']})"
    for each in claims["refunds"]:
        yield f"Of this {each['amount']['value']} {each['amount']['asset']} were paid back: {each['txHash']}."
    yield "A block explorer shows whether these transactions are on the chain."

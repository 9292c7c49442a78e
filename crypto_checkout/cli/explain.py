"""`crypto-checkout explain`: the reason why a payment counted, or the first reason why it did not."""

import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json, with_database

if TYPE_CHECKING:
    from crypto_checkout.core.diagnosis.explanation import Explanation, ExplanationStep
    from crypto_checkout.store.database import Database


@click.command(short_help="Say why a payment counted or didn't.")
@click.argument("subject", metavar="TX|ADDRESS|SESSION")
@json_option
@click.pass_obj
def explain(options: Options, *, subject: str, as_json: bool) -> None:
    """Say why a payment counted, or the first reason why it didn't, with the evidence.

    A transaction is looked up on every configured chain; chains that can't be asked are named. The exit code is 1
    if nothing is known.
    """
    from crypto_checkout.app import offline
    from crypto_checkout.core.diagnosis.explanation import PaymentOutcome

    config = load_config(options)

    async def work(db: "Database") -> "Explanation":
        async with offline.explainer(config, db) as explainer:
            return await explainer.of(subject)

    try:
        explained = with_database(options, work)
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json(as_object(explained))
    else:
        click.echo("\n".join(_lines(explained)))
    if explained.outcome is PaymentOutcome.UNKNOWN:
        sys.exit(1)


def as_object(explained: "Explanation") -> dict[str, Any]:
    """Return an explanation as JSON."""
    from crypto_checkout.core import moments

    return {
        "object": "explanation",
        "subject": explained.subject,
        "outcome": explained.outcome.value,
        "reason": explained.reason.value,
        "headline": explained.headline,
        "advice": explained.advice_line,
        "sessions": list(explained.sessions),
        "steps": [
            {"at": moments.to_optional_text(step.at), "what": step.what, "facts": dict(step.facts)}
            for step in explained.steps
        ],
    }


def _lines(explained: "Explanation") -> Iterator[str]:
    yield from _wrapped(explained.headline)
    if explained.advice_line:
        yield from _wrapped(explained.advice_line)
    for step in explained.steps:
        yield ""
        yield from _step(step)


def _step(step: "ExplanationStep") -> Iterator[str]:
    yield f"{tables.moment(step.at)}  {step.what}" if step.at else step.what
    yield from tables.fields(step.facts)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(tables.plain(text), tables.WIDTH, break_long_words=False, break_on_hyphens=False)

"""`crypto-checkout demo`: show the whole way of a payment on this machine, from the link to the signed webhook.

A real node, a real server and a real transaction, in a folder that is gone afterwards. Nothing of the user's own
configuration or data is touched. What happens is told in `story`; the other modules are what it needs.
"""

import sys
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.opening import fail, print_json
from crypto_checkout.cli.options import Options

if TYPE_CHECKING:
    from .timeline import Timeline

_DEADLINE_SECONDS = 60
_NEXT = "Now your own: `crypto-checkout init` writes a configuration, `crypto-checkout serve` starts the server."


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the timeline as JSON, at the end.")
@click.pass_obj
def demo(options: Options, *, as_json: bool) -> None:
    """Show a payment on a chain of its own.

    From the link to the signed webhook: a real node (anvil), a real server and a real transaction, in a folder that is
    gone afterwards. Nothing of yours is read or changed.
    """
    from .node import find
    from .stage import Failed
    from .timeline import Timeline

    try:
        anvil = find(options.environ)
    except Failed as error:
        fail(str(error))
    timeline = Timeline(say=_say_nothing if as_json else click.echo)
    timeline.say("A payment on a chain of its own. Nothing of yours is read or changed.\n")
    log = _play(timeline, options, anvil)
    if as_json:
        print_json({**timeline.as_json(), "log": log})
    elif timeline.problem is not None:
        _say_what_failed(timeline, log)
    else:
        click.echo(f"\n{_NEXT}")
    sys.exit(0 if timeline.problem is None else 1)


def _play(timeline: "Timeline", options: Options, anvil: str) -> list[str]:
    """Run it all and clean up; return the programs' last lines where a step failed (`timeline.problem`)."""
    import httpx

    from crypto_checkout.client import CheckoutClientError

    from .stage import Failed, Stage
    from .story import tell

    with Stage(options.environ, deadline_seconds=_DEADLINE_SECONDS) as stage:
        try:
            tell(timeline, stage, anvil)
        except (Failed, CheckoutClientError, httpx.HTTPError, OSError) as error:
            timeline.problem = str(error)
            return stage.last_lines()
        return []


def _say_nothing(_: str) -> None:
    pass


def _say_what_failed(timeline: "Timeline", log: list[str]) -> None:
    click.echo(f'\nFailed at "{timeline.under_way}": {timeline.problem}', err=True)
    if log:
        click.echo("\n".join(["", *log]), err=True)

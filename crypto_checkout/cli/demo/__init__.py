"""`crypto-checkout demo`: show the whole way of a payment on this machine, from the link to the signed webhook.

A real node, a real server and a real transaction, in a folder that is gone afterwards. Nothing of the user's own
configuration or data is touched. What happens is told in `story`; the programs that it needs are in `processes`.
"""

import sys
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.opening import print_json
from crypto_checkout.cli.options import Options

if TYPE_CHECKING:
    from .timeline import Timeline

_DEADLINE_SECONDS = 60


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the timeline as JSON, at the end.")
@click.pass_obj
def demo(options: Options, *, as_json: bool) -> None:
    """Show a payment on a chain of its own.

    From the link to the signed webhook, with a real node (anvil), a real server and a real transaction, in a folder
    that is gone afterwards. Nothing of yours is read or changed.
    """
    from .stage import Stage, ended_after
    from .story import tell
    from .timeline import Timeline

    timeline = Timeline(say=_nothing if as_json else click.echo)
    with ended_after(_DEADLINE_SECONDS), Stage(options.environ) as stage:
        timeline.say("A payment on a chain of its own. Nothing of yours is read or changed.\n")
        timeline.problem = stage.problem_of(lambda: tell(timeline, stage))
        log = stage.last_lines() if timeline.problem else []
    if as_json:
        print_json({**timeline.as_json(), "log": log})
    elif timeline.problem:
        _say_what_failed(timeline, log)
    else:
        _say_next()
    sys.exit(1 if timeline.problem else 0)


def _nothing(_: str) -> None:
    pass


def _say_what_failed(timeline: "Timeline", log: list[str]) -> None:
    click.echo(f'\nFailed at "{timeline.step_under_way}": {timeline.problem}', err=True)
    if log:
        click.echo("\n".join(["The last lines of its programs:", *log]), err=True)


def _say_next() -> None:
    click.echo("\nNow your own: `crypto-checkout init` writes a configuration, `crypto-checkout serve` starts the server.")

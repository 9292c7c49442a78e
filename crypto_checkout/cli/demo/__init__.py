"""`crypto-checkout demo`: show a whole payment on this machine, from the link to the signed webhook.

A real node, a real server and a real transaction, in a folder that is deleted afterwards. The user's own configuration
and data stay untouched. `story` has the steps of the demo, `scenarios` those of `--sandbox`; the other modules support
them.
"""

import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import fail, print_json

if TYPE_CHECKING:
    from crypto_checkout.cli.demo.scenarios import ScenarioResult

    from .stage import Stage
    from .timeline import Timeline

_DEADLINE_SECONDS = 60
_RULE = {True: "─", False: "-"}
_NEXT = "Next: `crypto-checkout init` writes a configuration, `crypto-checkout serve` starts the server."


@click.command()
@click.option("--sandbox", is_flag=True, help="Show every scenario of test mode side by side instead; needs no node.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON at the end.")
@click.pass_obj
def demo(options: Options, *, sandbox: bool, as_json: bool) -> None:
    """Show a payment on a private chain.

    From the link to the signed webhook: a real node (anvil), a real server and a real transaction, in a temporary
    folder. Your own data is neither read nor changed.

    With --sandbox: every outcome of a payment, on the simulated chain of test mode. The exit code is 1 if a
    scenario ends in the wrong way.
    """
    if sandbox:
        _scenarios(options, as_json=as_json)
    else:
        _story(options, as_json=as_json)


def _story(options: Options, *, as_json: bool) -> None:
    from crypto_checkout.cli.demo.stage import StepFailed

    from .node import find
    from .timeline import Timeline

    try:
        anvil = find(options.environ)
    except StepFailed as error:
        fail(str(error))
    timeline = Timeline(say=_say_nothing if as_json else click.echo)
    timeline.say("A payment on a private chain. Your own data is neither read nor changed.\n")
    log = _play(timeline, options, anvil)
    if as_json:
        print_json({**timeline.as_json(), "log": log})
    elif timeline.problem is not None:
        _say_what_failed(timeline, log)
    else:
        click.echo(f"\n{_NEXT}")
    sys.exit(0 if timeline.problem is None else 1)


def _play(timeline: "Timeline", options: Options, anvil: str) -> list[str]:
    """Run the demo and clean up; return the programs' last lines if a step failed (`timeline.problem`)."""
    from .story import tell

    timeline.problem, log = _on_stage(options, lambda stage: tell(timeline, stage, anvil))
    return log


def _scenarios(options: Options, *, as_json: bool) -> None:
    from .columns import side_by_side
    from .scenarios import play_all

    results: list[ScenarioResult] = []
    started = time.monotonic()
    problem, log = _on_stage(options, lambda stage: results.extend(play_all(stage)))
    problems = [*([problem] if problem else []), *(each.problem for each in results if each.problem)]
    if as_json:
        print_json(
            {"ok": not problems, "problems": problems, "scenarios": [each.as_json() for each in results], "log": log}
        )
    else:
        click.echo(
            "\n".join(["", *side_by_side(results, shutil.get_terminal_size().columns, rule=_RULE[sys.stdout.isatty()])])
        )
        if problems:
            click.echo("\n".join([*problems, *log]), err=True)
        else:
            click.echo(f"All {len(results)} ended as expected after {time.monotonic() - started:.1f} s.")
    sys.exit(1 if problems else 0)


def _on_stage(options: Options, show: "Callable[[Stage], None]") -> tuple[str | None, list[str]]:
    """Run something on a stage and clean up; return the problem if there was one, with the programs' last lines."""
    import httpx

    from crypto_checkout.cli.demo.stage import Stage, StepFailed
    from crypto_checkout.client import CheckoutClientError

    with Stage(options.environ, deadline_seconds=_DEADLINE_SECONDS) as stage:
        try:
            show(stage)
        except (StepFailed, CheckoutClientError, httpx.HTTPError, OSError) as error:
            return str(error), stage.last_lines()
        return None, []


def _say_nothing(_: str) -> None:
    pass


def _say_what_failed(timeline: "Timeline", log: list[str]) -> None:
    click.echo(f'\nFailed at "{timeline.under_way}": {timeline.problem}', err=True)
    if log:
        click.echo("\n".join(["", *log]), err=True)

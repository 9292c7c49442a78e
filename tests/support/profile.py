"""The length of the stateful tests: short by default, hours on demand.

    CHECKOUT_LEDGER_EXAMPLES=1000 CHECKOUT_LEDGER_SEED=7 pytest tests/services/ledger/test_properties_sandbox.py -s

Examples are lives of a shop with some forty steps each; the seed makes them the same ones again.
"""

import os
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def live(machine: type[RuleBasedStateMachine], *, examples: int, steps: int) -> None:
    """Run so many lives; a failure prints the steps that led to it."""
    seed = os.environ.get("CHECKOUT_LEDGER_SEED")
    if seed is not None:
        machine = hypothesis.seed(int(seed))(machine)
    phases: list[Any] = [
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
        *([Phase.shrink] if "CHECKOUT_LEDGER_SHRINKS" in os.environ else []),
    ]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("CHECKOUT_LEDGER_EXAMPLES", examples)),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=phases,
            print_blob=True,
        ),
    )

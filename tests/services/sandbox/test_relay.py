"""The controls that have the leader act are those of the sandbox itself."""

import inspect

from crypto_checkout.services.sandbox.controls import SandboxControls
from crypto_checkout.services.sandbox.relay import _OPERATIONS, RelayedControls


def methods(kind: type) -> dict[str, inspect.Signature]:
    return {name: inspect.signature(each) for name, each in vars(kind).items() if not name.startswith("_")}


def test_whatever_the_sandbox_does_the_leader_can_be_asked_for_with_the_same_arguments() -> None:
    assert methods(RelayedControls) == methods(SandboxControls)
    assert _OPERATIONS.keys() == methods(SandboxControls).keys() - {"decimals"}

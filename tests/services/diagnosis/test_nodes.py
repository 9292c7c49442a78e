"""Nodes that a page names: tried within the reach of webhooks, and not beyond."""

from datetime import UTC, datetime
from typing import Any

import pytest

from crypto_checkout.chain.evm.probe import Probe
from crypto_checkout.chain.rpc.endpoint import NodeEndpoint
from crypto_checkout.services.diagnosis.nodes import NodeTrial
from crypto_checkout.webhooks.networks import Reach
from tests.support.anvil import Anvil


def trial(reach: Reach, *configured: str) -> NodeTrial:
    return NodeTrial(lambda: datetime.now(UTC), reach, [NodeEndpoint(url) for url in configured])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest/meta-data", "cloud metadata"),
        ("http://10.0.0.7:8545", "private"),
        ("http://[::1]:8545", "loopback"),
        ("http://localhost:8545", "loopback"),
        ("http://127.1:8545", "loopback"),
        ("https://10.0.0.7:6379", "port 6379"),
        ("http://[::ffff:10.0.0.7]:8545", "IPv4-mapped"),
    ],
)
async def test_a_private_address_is_not_asked(url: str, why: str) -> None:
    (found,) = await trial(Reach.PUBLIC).run([url], 1)
    assert found.block_number is None
    assert why in str(found.problem)


async def test_a_name_that_leads_elsewhere_when_it_is_connected_to_is_not_asked_either(anvil: Any) -> None:
    node: Anvil = anvil()
    asked = node.block_number()
    probe = Probe(31337, node.url, allows=lambda _: False)
    try:
        result = await probe.run()
    finally:
        await probe.close()
    assert result.head is None
    assert node.block_number() == asked


async def test_a_node_within_reach_or_in_the_configuration_is_tried(anvil: Any) -> None:
    node: Anvil = anvil()
    for found in (trial(Reach.LOOPBACK), trial(Reach.ANY), trial(Reach.PUBLIC, f"{node.url}/key")):
        (check,) = await found.run([node.url], 31337)
        assert check.problem is None
        assert (check.block_number, check.behind) == (0, 0)
        assert check.age is not None
